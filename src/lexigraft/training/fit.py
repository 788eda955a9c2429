"""Runs Lightning's trainer on a module and leaves the best weights in it."""

import logging
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger
from pytorch_lightning.profilers import Profiler
from rich import get_console
from rich.console import Console

from lexigraft.training.callbacks import EpochLines, callbacks
from lexigraft.training.checkpoints import BEST, LAST, Checkpoints, keep_weights_alone
from lexigraft.training.hardware import Compile, chosen_precision, compile_in_place
from lexigraft.training.module import SupervisedModule
from lexigraft.training.pruning import Pruning


@dataclass(frozen=True)
class Fitted:
    """What training came to: the best epoch `{epoch, step, value}`, the history, and where the weights lie.

    `pruned`: the search that the run is a trial of gave it up before its end.
    """

    best: dict[str, Any]
    history: list[dict[str, Any]]
    device: torch.device
    precision: str
    pruned: bool = False


def fit(
    module: SupervisedModule,
    batches: pl.LightningDataModule,
    *,
    checkpoints: Path,
    loggers: Sequence[Logger],
    console: Console,
    epochs: int,
    monitor: str,
    patience: int | None,
    gradient_clip: float | None = None,
    gradient_clip_by: str = "norm",
    accumulate: int = 1,
    averaging: Callback | None = None,
    profiler: Profiler | None = None,
    bar: bool,
    accelerator: str,
    devices: int,
    precision: str,
    compile: Compile = False,
) -> Fitted:
    """Train, then load the checkpoint with the best dev `monitor` into the module.

    Where `checkpoints` holds that of an epoch, training goes on after it. `ValueError` when the loss stops being
    finite; `KeyboardInterrupt` for Ctrl-C, with the finished epochs' checkpoints in place.
    """
    # The bar lives on rich's own console, which alone knows how to print above it.
    lines, pruning = EpochLines(get_console() if bar else console), Pruning.from_environment(monitor)
    saver = Checkpoints(checkpoints, monitor, pruning)
    beside: list[Callback] = [lines, *callbacks(monitor=monitor, patience=patience, bar=bar), saver]
    beside += [pruning] if pruning is not None else []
    beside += [averaging] if averaging is not None else []
    last = checkpoints / LAST
    with quiet_lightning():
        trainer = pl.Trainer(
            accelerator=accelerator,
            devices=devices,
            precision=chosen_precision(precision, accelerator),  # type: ignore[arg-type]  # checked by the schema
            max_epochs=epochs,
            gradient_clip_val=gradient_clip,
            gradient_clip_algorithm=gradient_clip_by,
            accumulate_grad_batches=accumulate,
            profiler=profiler,
            logger=list(loggers),
            callbacks=beside,
            default_root_dir=checkpoints.parent,
            enable_progress_bar=bar,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            use_distributed_sampler=False,
        )
        compile_in_place(module.model.encoder, compile, accelerator)
        with _interrupts(trainer):
            trainer.fit(module, datamodule=batches, ckpt_path=last if last.is_file() else None, weights_only=True)
    assert saver.best is not None, "an epoch has been trained"
    module.load_state_dict(keep_weights_alone(checkpoints / BEST))
    pruned = pruning is not None and pruning.pruned
    return Fitted(saver.best, lines.history, trainer.strategy.root_device, str(trainer.precision), pruned)


# What Lightning warns of although it is meant: loaders in this process, and loggers that write into the run folder.
_EXPECTED = (
    ".*does not have many workers.*",
    ".*is smaller than the logging interval.*",
    "Checkpoint directory .* exists and is not empty",
    "Experiment logs directory .* exists and is not empty",
    ".*isinstance\\(treespec, LeafSpec\\).*",
)


@contextmanager
def _interrupts(trainer: pl.Trainer) -> Iterator[None]:
    """Ctrl-C stays a `KeyboardInterrupt`: Lightning makes an exit with code 1 of it and ignores every later one."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as exit:
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from exit


class quiet_lightning:
    """Keeps Lightning's start-up notices and expected warnings off the terminal."""

    def __enter__(self) -> None:
        self._log = logging.getLogger("pytorch_lightning")
        self._level = self._log.level
        self._log.setLevel(logging.WARNING)
        self._caught = warnings.catch_warnings()
        self._caught.__enter__()
        for message in _EXPECTED:
            warnings.filterwarnings("ignore", message=message)

    def __exit__(self, *error: Any) -> None:
        self._caught.__exit__(*error)
        self._log.setLevel(self._level)
