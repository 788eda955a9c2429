"""The training loop's view of a language model: an objective's loss, and its measures over held-out text."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from lexigraft.data.batches import NOT_COUNTED, Batch
from lexigraft.models.language import LanguageModel
from lexigraft.process_group import connected
from lexigraft.training.distributed.shares import count
from lexigraft.training.micro_batches import with_parts
from lexigraft.training.pretraining.objectives import Objective, token_weight
from lexigraft.training.schedule import Schedule
from lexigraft.training.strategy import Strategy
from lexigraft.training.training_module import TrainingModule


class PretrainingModule(TrainingModule):
    """Trains a `LanguageModel` by an objective; after each epoch its metrics on the dev documents are `dev/<metric>`.

    `tokens_per_byte` is that of the dev documents: tokens that a model may be asked for, by bytes of UTF-8. The other
    arguments are those of `TrainingModule`.
    """

    def __init__(
        self,
        model: LanguageModel,
        objective: Objective,
        optimizer: Callable[[list[dict[str, Any]]], torch.optim.Optimizer],
        schedule: Schedule,
        finetune: Strategy,
        *,
        tokens_per_byte: float,
        weight_decay: float = 0.0,
        decay_embeddings: bool = False,
        micro_batch: int | None = None,
    ) -> None:
        tasks = {"main": objective}
        super().__init__(model, tasks, optimizer, schedule, finetune, weight_decay, decay_embeddings, micro_batch)
        self.objective = objective
        self._tokens_per_byte = tokens_per_byte
        self._seen: list[Tensor] = []

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        if self.micro_batch is not None and self.trainer.training:
            weighted = {**batch, "token_weight": token_weight(batch)}
            batch = with_parts(weighted, self.micro_batch, count, per_token=True)
        if "parts" in batch:
            return batch
        # Here, where labels lie in the machine's memory: a GPU would have to be waited for.
        return {**batch, "places": (batch["labels"].flatten() != NOT_COUNTED).nonzero().flatten()}

    def loss_of(self, batch: Batch) -> Tensor:
        """The objective's loss of a training step."""
        return self.objective.loss(self.model, batch)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        sums = self.objective.measured(self.model, batch)
        self._seen.append(torch.cat([batch["index"][:1].to(sums), sums]))

    def on_validation_epoch_end(self) -> None:
        metrics = self.objective.metrics(summed(self._seen), self._tokens_per_byte)
        self.log_dict({f"dev/{name}": value for name, value in metrics.items()}, prog_bar=False)
        self._seen.clear()


def summed(batches: list[Tensor]) -> list[float]:
    """The sums of all batches of all ranks, equal on each of them to the last bit.

    Each is `[1 + S]`, led by the place of its first row: a batch that several ranks have seen counts once, and
    numbers are added up in the order of places, in double precision.
    """
    own = torch.stack(batches).tolist()
    found: list[Any] = [own]
    if connected() > 1:
        found = [None] * connected()
        dist.all_gather_object(found, own)
    by_place = {place: sums for of_rank in found for place, *sums in of_rank}
    return [sum(each) for each in zip(*(by_place[place] for place in sorted(by_place)))]
