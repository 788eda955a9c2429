"""What a run keeps of its weights: the best epoch's, and after every epoch all that is needed to go on exactly."""

import math
import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint

from lexigraft.evaluation.metrics import LOWER_IS_BETTER
from lexigraft.training.pruning import Pruning
from lexigraft.training.random_state import random_state, set_random_state

BEST, LAST = "best.ckpt", "last.ckpt"


class Checkpoints(Checkpoint):
    """Writes `last.ckpt` after each epoch and keeps it as `best.ckpt` where dev `monitor` was better than ever before.

    A file is written beside its place, synchronised and moved there, so it is whole or not there. Training that is
    resumed from `last.ckpt` ends with the same bits as training that was not interrupted: Lightning's counters are
    saved as they stand between two epochs, the random streams go on where they stood, and the batches with the next
    epoch. `best` is the best epoch so far, `{epoch, step, value}`; NaN is worse than any number.
    """

    def __init__(self, folder: Path, monitor: str, pruning: Pruning | None = None) -> None:
        self.folder, self.monitor, self._pruning = folder, monitor, pruning
        self.best: dict[str, Any] | None = None
        self.resumed_after = 0
        self._random: dict[str, Any] | None = None

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        value = float(trainer.callback_metrics[f"dev/{self.monitor}"])
        better = self._better(value)
        if better:
            known = None if math.isnan(value) else value
            self.best = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step, "value": known}
        self.folder.mkdir(parents=True, exist_ok=True)
        new = self.folder / f"{LAST}.tmp"
        trainer.save_checkpoint(new)
        if not trainer.is_global_zero:
            return
        _synchronise(new)
        if better:
            same = self.folder / f"{BEST}.tmp"
            same.unlink(missing_ok=True)
            os.link(new, same)
            same.replace(self.folder / BEST)
        new.replace(self.folder / LAST)
        _synchronise(self.folder)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        _between_epochs(checkpoint["loops"]["fit_loop"])
        checkpoint["lexigraft"] = {
            "epochs": trainer.current_epoch + 1,
            # What a search gave up may be wanted whole one day.
            "stopped": trainer.should_stop and not (self._pruning and self._pruning.pruned),
            "best": self.best,
            "random": random_state(),
        }

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        saved = checkpoint["lexigraft"]
        self.resumed_after, self.best, self._random = saved["epochs"], saved["best"], saved["random"]
        trainer.should_stop = saved["stopped"]
        trainer.datamodule.batches.at(saved["epochs"])  # type: ignore[attr-defined]
        for logger in trainer.loggers:
            if hasattr(logger, "after_resume"):
                logger.after_resume(checkpoint["global_step"])

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        # Not before: opening the loaders and moving the model may draw.
        if self._random is not None:
            set_random_state(self._random)
            self._random = None

    def _better(self, value: float) -> bool:
        if self.best is None or math.isnan(value):
            return self.best is None
        best = self.best["value"]
        return best is None or (value < best if self.monitor in LOWER_IS_BETTER else value > best)


def keep_weights_alone(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint, which from now on holds nothing else; a third of the size with Adam."""
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    state: dict[str, torch.Tensor] = saved["state_dict"]
    if saved.keys() != {"state_dict"}:
        new = checkpoint.with_name(f"{checkpoint.name}.tmp")
        torch.save({"state_dict": state}, new)
        _synchronise(new)
        new.replace(checkpoint)
    return state


def _between_epochs(fit_loop: dict[str, Any]) -> None:
    """Lightning's counters as they stand when an epoch is over and the next has not begun.

    It saves them amid the end of the epoch, and on resuming would run the hooks of that end again.
    """
    epochs = fit_loop["epoch_progress"]
    for counts in (epochs["total"], epochs["current"]):
        counts.update(dict.fromkeys(counts, counts["processed"]))
    for name in ("batch_progress", "scheduler_progress", "automatic_optimization.optim_progress"):
        _forget_current(fit_loop[f"epoch_loop.{name}"])
    fit_loop["epoch_loop.batch_progress"]["is_last_batch"] = False


def _forget_current(progress: dict[str, Any]) -> None:
    for name, value in progress.items():
        if name == "current":
            value.update(dict.fromkeys(value, 0))
        elif isinstance(value, dict):
            _forget_current(value)


def _synchronise(path: Path) -> None:
    """Have a file, or the names in a folder, written to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
