"""The training loop's view of a classifier: the loss of its tasks, and their metrics."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lexigraft.data.batches import Batch
from lexigraft.models.classifier import Classifier
from lexigraft.tasks.inference import Seen
from lexigraft.tasks.task import Task
from lexigraft.training.distributed.gathering import SeenByAll, measured
from lexigraft.training.distributed.shares import weigh_of
from lexigraft.training.micro_batches import with_parts
from lexigraft.training.regularise.regulariser import Regulariser
from lexigraft.training.row_wise import why_not
from lexigraft.training.schedule import Schedule
from lexigraft.training.step import Step
from lexigraft.training.strategy import Strategy
from lexigraft.training.training_module import TrainingModule


class SupervisedModule(TrainingModule):
    """Trains a `Classifier` by the losses of its tasks and measures it on whole splits, sample by sample.

    `tasks` names the task of each head; the metrics of "main" are `dev/<metric>`, the others' `dev/<task>/<metric>`.
    The other arguments are those of `TrainingModule`.
    """

    model: Classifier

    def __init__(
        self,
        model: Classifier,
        tasks: Mapping[str, Task],
        optimizer: Callable[[list[dict[str, Any]]], torch.optim.Optimizer],
        schedule: Schedule,
        finetune: Strategy,
        regularisers: Sequence[Regulariser] = (),
        weight_decay: float = 0.0,
        decay_embeddings: bool = False,
        micro_batch: int | None = None,
    ) -> None:
        super().__init__(model, tasks, optimizer, schedule, finetune, weight_decay, decay_embeddings, micro_batch)
        self.regularisers = nn.ModuleList(regularisers)
        self._seen: dict[str, Seen] = {}

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        if self.micro_batch is None or not self.trainer.training:
            return batch
        task = self.tasks[batch["task"]]
        return with_parts(batch, self.micro_batch, weigh_of(task), per_token=task.per_token)

    def loss_of(self, batch: Batch) -> Tensor:
        """The loss of a training step, with what the regularisers change and add."""
        step = Step.of(self.model, self.tasks[batch["task"]], batch)
        for regulariser in self._each():
            step = regulariser.change(step)
        loss = step.loss
        for regulariser in self._each():
            term = regulariser.term(step)
            if term is not None:
                loss = loss + term
        return loss

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        super().optimizer_step(*arguments, **options)
        for regulariser in self._each():
            regulariser.after_step(self.model)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        task = self.tasks[batch["task"]]
        outputs = self.model(batch["input_ids"], batch["mask"], batch.get("types"), batch["task"])
        self._seen.setdefault(batch["task"], SeenByAll(task.per_token)).add(task.scores(outputs), batch)

    def on_validation_epoch_end(self) -> None:
        for name, seen in self._seen.items():
            task = self.tasks[name]
            metrics = measured(task, seen)
            prefix = "dev" if name == "main" else f"dev/{name}"
            known = {k: metrics[k] for k in task.curves if metrics[k] is not None}
            # NaN is the worst value to what chooses the best epoch; a metric that is not there would end training.
            undefined = {k: math.nan for k in task.monitors if metrics[k] is None}
            self.log_dict({f"{prefix}/{k}": value for k, value in {**known, **undefined}.items()}, prog_bar=False)
        self._seen.clear()

    def all_rows_move(self, epochs: int) -> str | None:
        """Why rows that no text holds must be trained too; None if they rest, or move by weight decay alone."""
        if self._decay_embeddings and self._weight_decay and any(each.pulls_rows for each in self._each()):
            return "weight decay shrinks every row, and a regulariser pulls it back"
        return why_not(self.made_optimizer(epochs), self.model.embedding.lookup.weight)

    def _groups(self, epochs: int) -> list[dict[str, Any]]:
        """The regularisers' own parameters learn as the heads do."""
        groups = super()._groups(epochs)
        own = {f"heads.{name}": parameter for name, parameter in self.regularisers.named_parameters()}
        if own:
            more = {"name": "regularisers", "names": list(own), "params": list(own.values())}
            scale = self._finetune.lr_scale(self.model, next(iter(own)), 0)
            groups.append({**more, "weight_decay": 0.0, "lr_scale": scale})
        return groups

    def _each(self) -> Sequence[Regulariser]:
        return self.regularisers  # type: ignore[return-value]
