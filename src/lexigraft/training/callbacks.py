"""What happens beside training: early stopping, one line an epoch, a stop at the first NaN."""

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, RichProgressBar
from rich.console import Console

from lexigraft.evaluation.metrics import LOWER_IS_BETTER
from lexigraft.runs.fingerprint import fingerprint


def callbacks(*, monitor: str, patience: int | None, bar: bool) -> list[Callback]:
    """What may end a run early, and the bar; `monitor` is a dev metric, `patience` in epochs, None: never."""
    mode = "min" if monitor in LOWER_IS_BETTER else "max"
    found: list[Callback] = [StopAtNaN()]
    if patience is not None:
        found.append(EarlyStopping(f"dev/{monitor}", patience=patience, mode=mode, check_finite=False))
    if bar:
        found.append(RichProgressBar(leave=False))
    return found


class StopAtNaN(Callback):
    """Ends training with a sentence at the first loss that is not finite, before the next step builds on it."""

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not torch.isfinite(outputs["loss"]):
            raise ValueError(
                f"the training loss became {outputs['loss'].item()} at step {trainer.global_step} "
                f"(epoch {trainer.current_epoch}): lower optimizer.lr, set trainer.gradient_clip, or check the "
                "source matrix with a smaller transplant.scale"
            )


class EpochLines(Callback):
    """Prints one line after each epoch and keeps the history `[{epoch, step, train_loss, dev metrics, weights}]`.

    `weights` is the fingerprint of all weights after the epoch, by which two runs can be compared.
    """

    def __init__(self, console: Console) -> None:
        self.history: list[dict[str, Any]] = []
        self._console = console
        self._losses: list[torch.Tensor] = []

    def state_dict(self) -> dict[str, Any]:
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history = state_dict["history"]

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # Lightning has divided it by the batches of a step.
        self._losses.append(outputs["loss"].detach() * trainer.accumulate_grad_batches)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.sanity_checking or not self._losses:
            return
        row: dict[str, Any] = {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            "train_loss": torch.stack(self._losses).mean().item(),
        }
        self._losses.clear()
        for key, value in trainer.callback_metrics.items():
            if key.startswith("dev/") and not value.isnan():
                row["dev_" + key.removeprefix("dev/")] = value.item()
        self.history.append(row)
        rest = "  ".join(f"{k.replace('_', ' ')} {v:.4f}" for k, v in row.items() if k not in ("epoch", "step"))
        self._console.print(f"epoch {row['epoch']:>2}  step {row['step']:>6}  {rest}", highlight=False, soft_wrap=True)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.history[-1]["weights"] = fingerprint(module.state_dict())
