"""What the benchmarks of training share: their options, a clock, ratios, lexigraft's side and texts."""

import argparse
import gzip
import io
import statistics
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from rich.console import Console

from lexigraft.data.datamodule import TextDataModule
from lexigraft.data.encoded import Encoded
from lexigraft.models.classifier import Classifier
from lexigraft.tasks.classification import Classification
from lexigraft.tasks.losses import CrossEntropy
from lexigraft.training.finetune.steady import Full
from lexigraft.training.fit import Fitted, fit
from lexigraft.training.loggers import csv
from lexigraft.training.module import SupervisedModule
from lexigraft.training.schedule import Constant, Schedule
from lexigraft.training.training_module import TrainingModule

DECAY, CLIP = 0.01, 1.0  # of the weights, and of the gradients' norm

_clock = time.perf_counter


def options(doc: str) -> argparse.ArgumentParser:
    """The parser of a benchmark whose sides take turns; `doc` is its docstring."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="tiny sizes")
    parser.add_argument("--rounds", type=int, help="blocks of each side")
    parser.add_argument("--cpu-time", action="store_true", help="on one thread, by its CPU time: for busy machines")
    return parser


def now() -> float:
    """Seconds of the clock on the wall, or of this process's processor time, when a GPU has done all it was told."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return _clock()


def use_threads(cpu_time: bool) -> None:
    """Two threads; or one, timed by its processor time, which other work on the machine does not lengthen."""
    global _clock
    torch.set_num_threads(1 if cpu_time else 2)
    _clock = time.process_time if cpu_time else time.perf_counter


def ratio(slow: list[float], fast: list[float]) -> float:
    """The median over the rounds of the ratio within a round."""
    return statistics.median(a / b for a, b in zip(slow, fast))


def verdict(what: str, ratio: float, target: float, small: bool, at_most: bool = False) -> None:
    """Print a ratio against the least, or the most, that it should be, which small sizes cannot reach or miss."""
    reached = "" if small else "reached" if (ratio <= target if at_most else ratio >= target) else "MISSED"
    print(f"{what:22}{ratio:8.3f}x   target {'<=' if at_most else '>='} {target}x   {reached}".rstrip())


class Timed:
    """Notes the seconds from an epoch's start to the end of its steps, and those of validation; for a training module.

    The first `warm_up` batches of each epoch are no part of them.
    """

    train_seconds = validation_seconds = 0.0
    warm_up = 0

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()  # type: ignore[misc]
        self._timed = now()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        if self.warm_up and batch_idx == self.warm_up:
            self._timed = now()

    def on_validation_start(self) -> None:
        self.train_seconds += now() - self._timed
        self._timed = now()

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()  # type: ignore[misc]
        self.validation_seconds += now() - self._timed


class Clocked(Timed, SupervisedModule):
    """Classification, timed."""


class Portion:
    """Some batches of an epoch as a sampler."""

    def __init__(self, batches: list[list[int]]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)


def trained(
    model: Classifier,
    classes: int,
    data: TextDataModule,
    lr: float,
    epochs: int = 1,
    schedule: Schedule | None = None,
    *,
    warm_up: int = 0,
    folder: Path | None = None,
    **settings: Any,
) -> tuple[Clocked, Fitted]:
    """The module after some epochs of `fitted`, and what that tells.

    The CPU in float32, unless `settings`, which are those of `fit`, say otherwise. `folder`: where checkpoints are
    written and deleted again.
    """
    names = tuple(map(str, range(classes)))
    task = Classification(loss=CrossEntropy(), classes=names, train=data.tasks["main"]["train"].targets.tolist())
    optimizer = partial(torch.optim.AdamW, lr=lr, fused=True)
    module = Clocked(model, {"main": task}, optimizer, schedule or Constant(), Full(), weight_decay=DECAY)
    module.warm_up = warm_up
    return module, fitted(module, data, "accuracy", epochs, folder, **settings)


def fitted(
    module: TrainingModule,
    data: pl.LightningDataModule,
    monitor: str,
    epochs: int = 1,
    folder: Path | None = None,
    **settings: Any,
) -> Fitted:
    """`fit` as a run has it: bookkeeping, logger, stop at NaN. `settings`, `folder`: see `trained`."""
    settings = {"accelerator": "cpu", "devices": 1, "precision": "32"} | settings
    with tempfile.TemporaryDirectory(prefix="lexigraft-bench-", dir=folder) as name:
        return fit(
            module, data, checkpoints=Path(name) / "checkpoints", loggers=csv(folder=Path(name), config={}),
            console=Console(file=io.StringIO()), epochs=epochs, monitor=monitor, patience=None, gradient_clip=CLIP,
            bar=False, **settings,
        )  # fmt: skip


def synthetic(draw: np.random.Generator, lengths: np.ndarray, labels: np.ndarray, rows: int) -> Encoded:
    """Tokens by Zipf's law; one of three, on average, is of 20 that only texts of the same label have."""
    starts = np.concatenate([[0], np.cumsum(lengths)])
    ids = 250 + np.minimum(draw.zipf(1.3, starts[-1]), rows - 251)
    telling = draw.random(starts[-1]) < 0.1
    ids[telling] = 4 + np.repeat(labels, lengths)[telling] * 20 + draw.integers(0, 20, telling.sum())
    return Encoded(ids.astype(np.int32), starts)


def labelled_rows(path: Path) -> list[tuple[str, str]]:
    """Label and text of a packed file with a header."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        next(file)
        rows = [line.rstrip("\n").split("\t") for line in file]
    return [(row[0], row[-1]) for row in rows if row[-1].strip()]


def character_ids(texts: list[str], longest: int, rows: int) -> list[list[int]]:
    """The first characters of each text as ids from 4 on, in the order in which they are met."""
    ids = {"": 0}
    return [[min(ids.setdefault(c, len(ids) + 3), rows - 1) for c in text[:longest]] for text in texts]
