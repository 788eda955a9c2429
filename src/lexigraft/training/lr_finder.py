"""The learning-rate range test: training while the rate grows from nearly nothing until the loss explodes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, RichProgressBar
from scipy.ndimage import gaussian_filter1d

from lexigraft.training.fit import quiet_lightning
from lexigraft.training.hardware import LIGHTNING, chosen_precision

# The loss has exploded when it is so many times as high as at the start, on the mean over about ten steps.
EXPLODED = 2.0
# Width of the bell over which losses are averaged for the curve, in shares of all steps.
WIDTH = 1 / 40


@dataclass(frozen=True)
class RateCurve:
    """Losses `[N]` of single steps and their smoothed values `[N]` over the learning rates `[N]` of `optimizer.lr`.

    `steepest` is the rate at which the smoothed loss falls fastest per decade, `lowest` that of its minimum, `safe` the
    lesser of `steepest` and a tenth of `lowest`; all None where the loss never fell by more than its own noise.
    `exploded` is the rate at which the test was stopped, None where it came to its end.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    steepest: float | None
    lowest: float | None
    safe: float | None
    exploded: float | None

    @classmethod
    def of(cls, rates: list[float], losses: list[float], steps: int, exploded: bool) -> "RateCurve":
        """The curve of a test of `steps` steps, or of as many as it came to; losses are finite."""
        ceiling = EXPLODED * _start(losses)
        width = max(1.0, WIDTH * steps)
        smoothed = gaussian_filter1d(np.minimum(losses, ceiling), width, mode="nearest")
        end = int(smoothed.argmin())
        before = smoothed[: end + 1]
        level = float(np.median(before))
        noise = _noise(losses[: end + 1], width)
        steepest = lowest = safe = None
        if level - smoothed[end] > 3 * noise:
            # The last fall to the minimum: what the curve did before, on the level, is chance.
            begin = int(np.flatnonzero(before >= level)[-1])
            slope = np.gradient(smoothed, np.log10(rates))
            lowest = rates[end]
            steepest = rates[begin + int(slope[begin : end + 1].argmin())]
            safe = min(steepest, lowest / 10)
        return cls(rates, losses, smoothed.tolist(), steepest, lowest, safe, rates[-1] if exploded else None)


def find_lr(
    module: pl.LightningModule,
    batches: pl.LightningDataModule,
    *,
    steps: int = 200,
    first: float = 1e-7,
    last: float = 10.0,
    gradient_clip: float | None = None,
    bar: bool = False,
    accelerator: str = "auto",
    precision: str = "32",
) -> RateCurve:
    """Train with rates in equal ratios from `first` to `last`, a step at each, until the loss explodes (Smith 2017).

    All groups of parameters keep their ratios to each other. The module's own schedule is overruled and nothing is
    saved: the module is spoilt afterwards. `ValueError` if the range or the number of steps cannot give a curve.
    """
    if not 0 < first < last:
        raise ValueError(f"learning rates from {first:g} to {last:g}: give two rates above 0, the smaller one first")
    if steps < 20:
        raise ValueError(f"a test of {steps} steps gives no curve: give at least 20")
    sweep = _Sweep(np.geomspace(first, last, steps).tolist())
    callbacks: list[Callback] = [sweep, RichProgressBar(leave=False)] if bar else [sweep]
    with quiet_lightning():
        trainer = pl.Trainer(
            accelerator=accelerator,
            devices=1,
            precision=LIGHTNING[chosen_precision(precision, accelerator)],  # type: ignore[arg-type]
            max_epochs=-(-steps // max(1, len(batches.train_dataloader()))),  # not -1: strategies ask how many
            max_steps=steps,
            gradient_clip_val=gradient_clip,
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=bar,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=0,
            use_distributed_sampler=False,
        )
        trainer.fit(module, datamodule=batches)
    if len(sweep.losses) < 2:
        raise ValueError(f"the loss was not finite at the rate {first:g} already: give a lower one, or check the data")
    return RateCurve.of(sweep.rates[: len(sweep.losses)], sweep.losses, steps, sweep.exploded)


class _Sweep(Callback):
    """Sets the rate before each step, keeps the loss after it, and stops when that has exploded."""

    def __init__(self, rates: list[float]) -> None:
        self.rates, self.losses, self.exploded = rates, list[float](), False
        self._mean = 0.0

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        [optimizer] = trainer.optimizers
        for group in optimizer.param_groups:
            base = group.get("initial_lr", group["lr"])  # where there is no schedule, "lr" is set here only once
            group["initial_lr"] = base
            group["lr"] = base / optimizer.defaults["lr"] * self.rates[trainer.global_step]

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"].item()
        if not np.isfinite(loss):
            self.exploded = trainer.should_stop = True
            return
        self._mean = loss if not self.losses else 0.9 * self._mean + 0.1 * loss
        self.losses.append(loss)
        if len(self.losses) > 10 and self._mean > EXPLODED * _start(self.losses):
            self.exploded = trainer.should_stop = True


def _noise(losses: list[float], width: float) -> float:
    """The standard deviation that independent losses leave after smoothing with a bell of that width.

    Neighbours differ by sqrt(2) times that of one loss; a Gaussian of width w leaves 1 / sqrt(2 sqrt(pi) w) of it.
    """
    if len(losses) < 3:
        return np.inf
    return float(np.std(np.diff(losses))) / np.sqrt(2) / np.sqrt(2 * np.sqrt(np.pi) * width)


def _start(losses: list[float]) -> float:
    """The loss before the rate is high enough to change it."""
    return float(np.mean(losses[:10]))
