"""What every training loop of ours does: when weights move and how fast, batches in parts, what is logged."""

from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from lexigraft.data.batches import Batch
from lexigraft.models.active import deactivate
from lexigraft.training.distributed.gathering import mean_over_ranks
from lexigraft.training.finetune.rates import optimizer_groups, rescale, scale_rates
from lexigraft.training.micro_batches import accumulated, require_whole_model, split
from lexigraft.training.optimizers import unscaled_by_trainer
from lexigraft.training.schedule import Schedule, step_plateaus
from lexigraft.training.strategy import Strategy


class TrainingModule(pl.LightningModule):
    """The base of the modules of each kind of training, which say what the loss of a batch is (`loss_of`).

    `model` has an `embedding`, an `encoder` and `heads`, one for each of the `tasks`. `optimizer` takes parameter
    groups. `decay_embeddings`: weight decay is for word rows too. `micro_batch`: so many texts of a batch at most are
    trained at once, and their gradients added up; None: all of them.
    """

    def __init__(
        self,
        model: Any,
        tasks: Mapping[str, Any],
        optimizer: Callable[[list[dict[str, Any]]], torch.optim.Optimizer],
        schedule: Schedule,
        finetune: Strategy,
        weight_decay: float = 0.0,
        decay_embeddings: bool = False,
        micro_batch: int | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.tasks = dict(tasks)
        self._optimizer, self._schedule, self._finetune = optimizer, schedule, finetune
        self._weight_decay, self._decay_embeddings = weight_decay, decay_embeddings
        self.micro_batch = micro_batch
        self._begun = False  # gradients of parts of a batch are there, which must not be cleared

    def loss_of(self, batch: Batch) -> Tensor:
        """The loss of a training step."""
        raise NotImplementedError

    def on_fit_start(self) -> None:
        if self.micro_batch is not None:
            require_whole_model(self.trainer.strategy)

    def train_as_in(self, epoch: int) -> None:
        """Let those weights move that do so in an epoch, counted from 0, and no others."""
        self._finetune.apply(self.model, epoch)

    def on_train_epoch_start(self) -> None:
        self.train_as_in(self.current_epoch)
        schedulers = [config.scheduler for config in self.trainer.lr_scheduler_configs]
        rescale(self.trainer.optimizers[0], schedulers, self._finetune, self.model, self.current_epoch)

    def on_train_epoch_end(self) -> None:
        step_plateaus(self.trainer.lr_scheduler_configs, self.trainer.callback_metrics)

    def finish(self) -> None:
        """Leave a plain network: all rows in the embedding, adapters merged."""
        deactivate(self.model.embedding)
        self._finetune.finish(self.model)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        parts = split(batch)
        if len(parts) > 1 and batch_idx % self.trainer.accumulate_grad_batches == 0:
            self.trainer.optimizers[0].zero_grad()  # Lightning would do so after this step
            self._begun = True
        loss = accumulated(parts, self.loss_of, self._backward)
        # Lightning drops what is logged in the steps between, but not without work.
        if (self.trainer.global_step + 1) % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self.log("train/loss", mean_over_ranks(loss), on_step=True, on_epoch=False, prog_bar=True, batch_size=1)
        return loss

    def optimizer_zero_grad(self, *arguments: Any) -> None:
        if not self._begun:
            super().optimizer_zero_grad(*arguments)
        self._begun = False

    def configure_optimizers(self) -> Any:
        optimizer = unscaled_by_trainer(self.made_optimizer(self.trainer.max_epochs or 1))
        return [optimizer], self._schedule.settings(optimizer, int(self.trainer.estimated_stepping_batches))

    def made_optimizer(self, epochs: int) -> torch.optim.Optimizer:
        """A new optimizer for so many epochs."""
        return scale_rates(self._optimizer(self._groups(epochs)))

    def _groups(self, epochs: int) -> list[dict[str, Any]]:
        """The model's parameters in groups."""
        decay, of_embeddings = self._weight_decay, self._decay_embeddings
        return optimizer_groups(self.model, self._finetune, decay, epochs=epochs, decay_embeddings=of_embeddings)

    def _backward(self, loss: Tensor) -> None:
        """As Lightning does with what a step returns, but without bringing gradients of ranks together.

        DDP, unless its graph is static, heeds none before the step has returned: what is added up here is reduced with
        the last part.
        """
        with self.trainer.profiler.profile("[Strategy]parts.backward"):  # type: ignore[attr-defined]
            self.trainer.strategy.backward(loss / self.trainer.accumulate_grad_batches, None)
