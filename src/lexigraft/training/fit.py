"""Runs Lightning's trainer on a module and leaves the best weights in it."""

import logging
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger
from pytorch_lightning.profilers import Profiler
from pytorch_lightning.strategies import ModelParallelStrategy
from rich import get_console
from rich.console import Console

from lexigraft.training.batch_size import FittingMicroBatch
from lexigraft.training.callbacks import EpochLines, callbacks
from lexigraft.training.checkpoint_files import CheckpointFiles
from lexigraft.training.checkpoints import Checkpoints, take_best
from lexigraft.training.distributed.strategies import strategy_of
from lexigraft.training.hardware import LIGHTNING, Compile, chosen_precision, compile_in_place
from lexigraft.training.observing.bar import Bar
from lexigraft.training.observing.watch import Watch
from lexigraft.training.preemption import Preempted, Preemption
from lexigraft.training.pruning import Pruning
from lexigraft.training.recomputing import recomputing
from lexigraft.training.training_module import TrainingModule


@dataclass(frozen=True)
class Fitted:
    """What training came to: the best epoch `{epoch, step, value}`, the history, and where the weights lie.

    `speed` is what `Watch.summary` says. `micro_batch` texts were trained at once, None: whole batches. `pruned`: the
    search that the run is a trial of gave it up before its end.
    """

    best: dict[str, Any]
    history: list[dict[str, Any]]
    device: torch.device
    precision: str
    speed: dict[str, Any]
    micro_batch: int | None = None
    pruned: bool = False


def fit(
    module: TrainingModule,
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
    fitting: FittingMicroBatch | None = None,
    averaging: Callback | None = None,
    profiler: Profiler | None = None,
    bar: bool,
    accelerator: str,
    devices: int,
    nodes: int = 1,
    strategy: str = "ddp",
    cpu_offload: bool = False,
    activation_checkpointing: bool = False,
    precision: str,
    compile: Compile = False,
    workers: int = 0,
    batch_tokens: int | None = None,
    checkpoint_every: float | None = None,
    checkpoint_async: bool = False,
    requeue: bool = False,
) -> Fitted:
    """Train, then load the checkpoint with the best dev `monitor` into the module, of several ranks on the first.

    Where `checkpoints` holds one, training goes on from there. One is written after each epoch, within one every
    `checkpoint_every` minutes (None: never), and when a signal asks for an end; `checkpoint_async` leaves writing to a
    thread. `ValueError` when the loss stops being finite; `KeyboardInterrupt` for Ctrl-C and `Preempted` for SIGTERM
    and SIGUSR1, after the step that was under way. `strategy`, `cpu_offload`, `activation_checkpointing`: those of
    `conf/hardware/`. `fitting` chooses `module.micro_batch`. `requeue`: SLURM is asked to start a preempted job again.
    """
    # The bar lives on rich's own console, which alone knows how to print above it.
    told_on = get_console() if bar else console
    lines, pruning = EpochLines(told_on), Pruning.from_environment(monitor)
    watch = Watch(told_on, workers=workers, batch_tokens=batch_tokens, profiler=profiler)
    say = partial(console.print, markup=False, soft_wrap=True)
    files, preemption = CheckpointFiles(checkpoints, background=checkpoint_async), Preemption(requeue, say)
    saver = Checkpoints(files, monitor, pruning, every=checkpoint_every, preemption=preemption, say=say)
    ending = callbacks(monitor=monitor, patience=patience, replay=checkpoints.parent / "replay")
    beside: list[Callback] = [watch, lines, *ending, saver, *([Bar(watch.remaining)] if bar else [])]
    beside += [pruning] if pruning is not None else []
    beside += [fitting] if fitting is not None else []
    beside += [averaging] if averaging is not None else []
    used = chosen_precision(precision, accelerator)
    with quiet_lightning():
        trainer = pl.Trainer(
            accelerator=accelerator,
            devices=devices,
            num_nodes=nodes,
            strategy=strategy_of(
                accelerator,
                devices,
                nodes,
                name=strategy,
                heads=len(module.tasks),
                in_parts=module.micro_batch is not None or fitting is not None,
                cpu_offload=cpu_offload,
            ),
            precision=LIGHTNING[used],  # type: ignore[arg-type]  # names that it knows
            max_epochs=epochs,
            gradient_clip_val=gradient_clip,
            gradient_clip_algorithm=gradient_clip_by,
            accumulate_grad_batches=accumulate,
            profiler=watch.phases,
            logger=list(loggers),
            callbacks=beside,
            plugins=[files],
            default_root_dir=checkpoints.parent,
            enable_progress_bar=bar,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            use_distributed_sampler=False,
        )
        compile_in_place(module.model.encoder, compile if strategy == "ddp" else False, accelerator)
        recomputed = recomputing(module.model, activation_checkpointing)
        with preemption.noted(), _interrupts(trainer), files.written(), recomputed:
            trainer.fit(module, datamodule=batches, ckpt_path=files.resumable(say), weights_only=True)
            if preemption.received is not None:
                preemption.leave(trainer.is_global_zero)
    assert saver.best is not None, "an epoch has been trained"
    if trainer.is_global_zero:  # whoever measures the weights
        if isinstance(trainer.strategy, ModelParallelStrategy):
            trainer.strategy.put_back(module)  # type: ignore[attr-defined]  # it is our own
        take_best(module, files)
    pruned = pruning is not None and pruning.pruned
    device = trainer.strategy.root_device
    return Fitted(saver.best, lines.history, device, used, watch.summary(), module.micro_batch, pruned)


# What Lightning warns of although it is meant: loaders in this process, and loggers that write into the run folder.
_EXPECTED = (
    ".*does not have many workers.*",
    ".*is smaller than the logging interval.*",
    ".*ended before the epoch ended and your dataloader is not resumable.*",
    ".*`broadcast_buffers` is deprecated.*",
    ".*overridden `on_before_batch_transfer` in `LightningModule`.*",
    ".*It is recommended to use .*sync_dist=True.*",
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
        if isinstance(exit, Preempted) or not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from exit


class quiet_lightning:
    """Keeps Lightning's start-up notices and expected warnings off the terminal."""

    def __enter__(self) -> None:
        logs = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
        self._levels = [(log, log.level) for log in logs]
        for log in logs:
            log.setLevel(logging.WARNING)
        self._caught = warnings.catch_warnings()
        self._caught.__enter__()
        for message in _EXPECTED:
            warnings.filterwarnings("ignore", message=message)

    def __exit__(self, *error: Any) -> None:
        self._caught.__exit__(*error)
        for log, level in self._levels:
            log.setLevel(level)
