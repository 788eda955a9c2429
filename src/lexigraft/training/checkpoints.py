"""What a run keeps of its weights: the best epoch's, and at any step all that is needed to go on exactly."""

import math
import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from lexigraft.evaluation.metrics import LOWER_IS_BETTER
from lexigraft.training.checkpoint_files import BEST, LAST, CheckpointFiles, save_whole, synchronise
from lexigraft.training.loop_counters import before_the_next_batch, between_epochs
from lexigraft.training.pieces import joined
from lexigraft.training.preemption import Preemption
from lexigraft.training.pruning import Pruning
from lexigraft.training.random_state import random_states, set_random_states
from lexigraft.training.tracking.metrics_csv import MetricsCsv


class Checkpoints(Checkpoint):
    """Writes `last.ckpt` and keeps it as `best.ckpt` where dev `monitor` was better than ever before.

    It is written after each epoch, within one where the last is `every` minutes old (None: never), and before a signal
    that `preemption` noted is obeyed. Within an epoch a checkpoint is that of an optimizer's step, of the last batch
    before it is validated. Training that is resumed ends with the same bits as training that was not interrupted:
    Lightning's counters are saved as they stand between two steps, the random streams of every rank go on where they
    stood, and the batches with the next one. `best` is the best epoch so far, `{epoch, step, value}`; NaN is worse than
    any number. `files` has to be among the trainer's plugins.
    """

    def __init__(
        self,
        files: CheckpointFiles,
        monitor: str,
        pruning: Pruning | None = None,
        *,
        every: float | None = None,
        preemption: Preemption | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        self.files, self.monitor, self._pruning, self._say = files, monitor, pruning, say
        self._preemption = preemption or Preemption()
        self._pause = math.inf if every is None else 60 * every
        self.best: dict[str, Any] | None = None
        self._better = False
        self._written_after = 0  # batches, of all epochs
        self._written_at = time.monotonic()
        self._random: list[dict[str, Any]] | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._preemption.install()
        self._written_at = time.monotonic()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._restore_random(trainer)
        done = trainer.fit_loop.epoch_loop.batch_progress.current.completed
        # In between there are gradients that no checkpoint holds.
        if done % trainer.accumulate_grad_batches == 0:
            self._between_steps(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        if self._random is not None:
            # The loader was opened, and may have drawn batches, for an epoch of which none is left.
            _batches(trainer).at(trainer.current_epoch + 1)
        self._restore_random(trainer)
        self._between_steps(trainer)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        # Ranks need not have as many batches to validate, so that several wait for the end.
        if self._preemption.received is not None and trainer.world_size == 1:
            self._leave(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        value = float(trainer.callback_metrics[f"dev/{self.monitor}"])
        self._better = self._is_better(value)
        if self._better:
            known = None if math.isnan(value) else value
            self.best = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step, "value": known}
        self._write(trainer)
        self._better = False

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        loop = checkpoint["loops"]["fit_loop"]
        over = loop["epoch_progress"]["current"]["processed"] > trainer.current_epoch
        if over:
            between_epochs(loop)
        else:
            before_the_next_batch(loop, validation=trainer.validating)
        curves = [logger for logger in trainer.loggers if isinstance(logger, MetricsCsv)]
        checkpoint["lexigraft"] = {
            "epochs": trainer.current_epoch + over,
            "done": 0 if over else loop["epoch_loop.batch_progress"]["current"]["completed"],
            # What a search gave up may be wanted whole one day.
            "stopped": trainer.should_stop and not (self._pruning and self._pruning.pruned),
            "best": self.best,
            "better": self._better,
            "rows": curves[0].rows if curves else None,
            "random": random_states(),
        }

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        saved = checkpoint["lexigraft"]
        self.best, self._random = saved["best"], saved["random"]
        if self.best is not None and not (self.files.folder / BEST).is_file():
            raise ValueError(
                f"{self.files.folder / BEST} is gone, and the weights of the best epoch with it: rerun=true trains anew"
            )
        self._written_after = _all_batches(checkpoint["loops"]["fit_loop"])
        trainer.should_stop = saved["stopped"]
        _batches(trainer).at(saved["epochs"], saved["done"])
        for logger in trainer.loggers:
            if hasattr(logger, "after_resume"):
                logger.after_resume(checkpoint["global_step"], saved["rows"])

    def _between_steps(self, trainer: pl.Trainer) -> None:
        """Write if it is time, and leave if that was asked for; all ranks alike."""
        asked = self._preemption.received is not None
        due = time.monotonic() - self._written_at >= self._pause
        if not _any_rank(trainer, asked or due):
            return
        if trainer.fit_loop.epoch_loop.batch_progress.total.completed > self._written_after:
            self._write(trainer)
        if _any_rank(trainer, asked):
            self._leave(trainer)

    def _write(self, trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(self.files.folder / LAST)
        self._written_after = trainer.fit_loop.epoch_loop.batch_progress.total.completed
        self._written_at = time.monotonic()

    def _leave(self, trainer: pl.Trainer) -> None:
        self.files.wait()
        self._preemption.leave(trainer.is_global_zero)

    def _restore_random(self, trainer: pl.Trainer) -> None:
        """Let the streams go on. Not before: opening the loaders and moving the model may draw."""
        if self._random is None:
            return
        as_many = set_random_states(self._random, trainer.global_rank, trainer.world_size)
        if not as_many and trainer.is_global_zero:
            self._say(
                f"ranks in the checkpoint: {len(self._random)}, now: {trainer.world_size}; dropout and whatever else "
                "is drawn at random will not be what it would have been"
            )
        self._random = None

    def _is_better(self, value: float) -> bool:
        if self.best is None or math.isnan(value):
            return self.best is None
        best = self.best["value"]
        return best is None or (value < best if self.monitor in LOWER_IS_BETTER else value > best)


def take_best(module: pl.LightningModule, files: CheckpointFiles) -> None:
    """Load the weights of `best.ckpt`, which from now on holds nothing else; a third of the size with Adam.

    Those of a checkpoint in pieces are whole from then on.
    """
    best = files.folder / BEST
    saved, pieces = files.opened(best)
    weights = joined(saved["state_dict"], pieces)
    module.load_state_dict(weights)
    if saved.keys() != {"state_dict"}:
        if pieces.files:  # the rows that rest are not in them
            weights = module.state_dict()
        new = best.with_name(f"{best.name}.tmp")
        save_whole({"state_dict": weights}, new)
        new.replace(best)
        synchronise(files.folder)
    files.tidy()


def _any_rank(trainer: pl.Trainer, wish: bool) -> bool:
    return bool(trainer.strategy.reduce_boolean_decision(wish, all=False)) if trainer.world_size > 1 else wish


def _batches(trainer: pl.Trainer) -> Any:
    return trainer.datamodule.batches  # type: ignore[attr-defined]


def _all_batches(fit_loop: dict[str, Any]) -> int:
    return int(fit_loop["epoch_loop.batch_progress"]["total"]["completed"])
