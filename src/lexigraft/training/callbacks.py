"""What happens beside training: what may end it early, and one line an epoch."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping
from rich.console import Console

from lexigraft.evaluation.metrics import LOWER_IS_BETTER
from lexigraft.runs.fingerprint import fingerprint
from lexigraft.training.distributed.gathering import mean_over_ranks
from lexigraft.training.observing.nan import StopAtNaN


def callbacks(*, monitor: str, patience: int | None, replay: Path) -> list[Callback]:
    """What may end a run early; `monitor` is a dev metric, `patience` in epochs, None: never.

    A batch whose loss is not finite is kept in the folder `replay`.
    """
    found: list[Callback] = [StopAtNaN(replay)]
    if patience is not None:
        mode = "min" if monitor in LOWER_IS_BETTER else "max"
        found.append(EarlyStopping(f"dev/{monitor}", patience=patience, mode=mode, check_finite=False))
    return found


class EpochLines(Callback):
    """Prints one line after each epoch and keeps the history `[{epoch, step, train_loss, dev metrics, weights}]`.

    `weights` is the fingerprint of all weights in the epoch's checkpoint, by which two runs can be compared: those that
    train, where they are averaged. Within an epoch its losses are part of the state.
    """

    def __init__(self, console: Console) -> None:
        self.history: list[dict[str, Any]] = []
        self._console = console
        self._losses: list[torch.Tensor] = []  # of this rank's shares
        self._before: torch.Tensor | None = None  # those of a checkpoint, of all ranks

    def state_dict(self) -> dict[str, Any]:
        """Every rank is asked for it: what rank 0 saves is loaded by all of them, so it holds the means over them."""
        losses = self._epoch_losses()
        return {"history": self.history, "losses": None if losses is None else losses.cpu()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history, self._before, self._losses = state_dict["history"], state_dict["losses"], []

    def _epoch_losses(self) -> torch.Tensor | None:
        """The losses of this epoch's batches so far, means over the ranks."""
        here = mean_over_ranks(torch.stack(self._losses)) if self._losses else None
        found = [each for each in (self._before, here) if each is not None]
        return torch.cat([each.to(found[-1].device) for each in found]) if found else None

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Look at the weights that the checkpoint holds: gathering them costs a copy of all rows."""
        if trainer.is_global_zero and self.history:
            row = self.history[-1]
            if "weights" not in row:
                row["weights"] = fingerprint(checkpoint["state_dict"])

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # Lightning has divided it by the batches of a step.
        self._losses.append(outputs["loss"].detach() * trainer.accumulate_grad_batches)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        losses = None if trainer.sanity_checking else self._epoch_losses()
        if losses is None:
            return
        row: dict[str, Any] = {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            "train_loss": losses.mean().item(),
        }
        self._losses.clear()
        self._before = None
        for key, value in trainer.callback_metrics.items():
            if key.startswith("dev/") and not value.isnan():
                row["dev_" + key.removeprefix("dev/")] = value.item()
        self.history.append(row)
        rest = "  ".join(f"{k.replace('_', ' ')} {v:.4f}" for k, v in row.items() if k not in ("epoch", "step"))
        self._console.print(f"epoch {row['epoch']:>2}  step {row['step']:>6}  {rest}", highlight=False, soft_wrap=True)
