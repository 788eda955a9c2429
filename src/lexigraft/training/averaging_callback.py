"""Lightning's `WeightAveraging`, corrected where it does not fit a run whose best epoch is chosen by dev.

It would measure the untrained weights until the first average. (`StochasticWeightAveraging` measures and saves the
weights that were not averaged.)
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor


class Averaging(WeightAveraging):
    """Keeps an average by `towards(average, weights, number of updates)`, from the share `start` of all epochs on.

    It is updated after every `every` optimizer steps; None: after the last one of each epoch, in time for its
    validation. From the first update on, validation sees the average, and checkpoints hold it as `state_dict` and the
    weights as `current_model_state`, from which training resumes.
    """

    def __init__(
        self,
        towards: Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None],
        *,
        start: float = 0.0,
        every: int | None = 1,
    ) -> None:
        super().__init__(multi_avg_fn=towards)
        self._start, self._every = start, every

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        low = next((p.dtype for p in pl_module.parameters() if p.dtype in (torch.bfloat16, torch.float16)), None)
        if low is not None:
            raise ValueError(
                f"averaging needs weights in float32, but hardware.precision keeps them in {str(low)[6:]}, which "
                "rounds small steps of an average away: use bf16-mixed, or averaging=none"
            )
        super().setup(trainer, pl_module, stage)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert self._average_model is not None
        assert trainer.max_epochs is not None
        step = trainer.global_step
        if step <= self._latest_update_step or trainer.current_epoch < int(self._start * trainer.max_epochs):
            return
        if trainer.is_last_batch if self._every is None else step % self._every == 0:
            self._average_model.update_parameters(pl_module)
            self._latest_update_step = step

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Nothing: the epoch's last step has been averaged before its validation."""

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._begun():
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._begun():
            super().on_validation_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._begun():
            super().on_train_end(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if self._begun():
            super().on_save_checkpoint(trainer, pl_module, checkpoint)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if "averaging_state" in checkpoint:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)

    def _begun(self) -> bool:
        return self._average_model is not None and int(self._average_model.n_averaged) > 0
