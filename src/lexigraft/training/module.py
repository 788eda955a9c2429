"""The training loop's view of a model: loss, metrics, optimizer."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lexigraft.data.batches import Batch
from lexigraft.models.active import deactivate
from lexigraft.models.classifier import Classifier
from lexigraft.tasks.inference import Seen
from lexigraft.tasks.task import Task
from lexigraft.training.distributed.gathering import SeenByAll, mean_over_ranks, measured
from lexigraft.training.finetune.rates import optimizer_groups, rescale, scale_rates
from lexigraft.training.optimizers import unscaled_by_trainer
from lexigraft.training.regularise.regulariser import Regulariser
from lexigraft.training.row_wise import why_not
from lexigraft.training.schedule import Schedule, step_plateaus
from lexigraft.training.step import Step
from lexigraft.training.strategy import Strategy


class SupervisedModule(pl.LightningModule):
    """Trains a `Classifier` by the losses of its tasks and measures it on whole splits, sample by sample.

    `tasks` names the task of each head; the metrics of "main" are `dev/<metric>`, the others' `dev/<task>/<metric>`.
    `optimizer` takes parameter groups. `decay_embeddings`: weight decay is for word rows too.
    """

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
    ) -> None:
        super().__init__()
        self.model = model
        self.tasks = dict(tasks)
        self.regularisers = nn.ModuleList(regularisers)
        self._optimizer, self._schedule, self._finetune = optimizer, schedule, finetune
        self._weight_decay, self._decay_embeddings = weight_decay, decay_embeddings
        self._seen: dict[str, Seen] = {}

    def on_train_epoch_start(self) -> None:
        self._finetune.apply(self.model, self.current_epoch)
        schedulers = [config.scheduler for config in self.trainer.lr_scheduler_configs]
        rescale(self.trainer.optimizers[0], schedulers, self._finetune, self.model, self.current_epoch)

    def on_train_epoch_end(self) -> None:
        step_plateaus(self.trainer.lr_scheduler_configs, self.trainer.callback_metrics)

    def finish(self) -> None:
        """Leave a plain network: all rows in the embedding, adapters merged."""
        deactivate(self.model.embedding)
        self._finetune.finish(self.model)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = self.loss_of(batch)
        # Lightning drops what is logged in the steps between, but not without work.
        if (self.trainer.global_step + 1) % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self.log("train/loss", mean_over_ranks(loss), on_step=True, on_epoch=False, prog_bar=True, batch_size=1)
        return loss

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

    def configure_optimizers(self) -> Any:
        optimizer = unscaled_by_trainer(self.made_optimizer(self.trainer.max_epochs or 1))
        return [optimizer], self._schedule.settings(optimizer, int(self.trainer.estimated_stepping_batches))

    def all_rows_move(self, epochs: int) -> str | None:
        """Why rows that no text holds must be trained too; None if they rest, or move by weight decay alone."""
        if self._decay_embeddings and self._weight_decay and any(each.pulls_rows for each in self._each()):
            return "weight decay shrinks every row, and a regulariser pulls it back"
        return why_not(self.made_optimizer(epochs), self.model.embedding.lookup.weight)

    def made_optimizer(self, epochs: int) -> torch.optim.Optimizer:
        """A new optimizer for so many epochs; the regularisers' own parameters learn as the heads do."""
        groups = optimizer_groups(
            self.model,
            self._finetune,
            self._weight_decay,
            epochs=epochs,
            decay_embeddings=self._decay_embeddings,
        )
        own = {f"heads.{name}": parameter for name, parameter in self.regularisers.named_parameters()}
        if own:
            more = {"name": "regularisers", "names": list(own), "params": list(own.values())}
            scale = self._finetune.lr_scale(self.model, next(iter(own)), 0)
            groups.append({**more, "weight_decay": 0.0, "lr_scale": scale})
        return scale_rates(self._optimizer(groups))

    def _each(self) -> Sequence[Regulariser]:
        return self.regularisers  # type: ignore[return-value]
