"""Learning-rate schedules: a factor of every group's base rate, by the number of optimizer steps that were taken.

The factor multiplies `base_lrs` anew in each step, so base rates may be changed while training goes on.
"""

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from lexigraft.evaluation.metrics import LOWER_IS_BETTER

if TYPE_CHECKING:  # Lightning takes seconds to import, which checking a config need not wait for
    from pytorch_lightning.utilities.types import LRSchedulerConfig

NEVER = sys.maxsize  # the frequency of a schedule that `step_plateaus` steps and Lightning only saves


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up from 0 to the base rate, and `share` of it afterwards.

    `warmup` below 1 is a share of all steps, from 1 on a number of steps. Steps are the optimizer's: with accumulated
    gradients there are fewer of them than batches.
    """

    warmup: float = 0.0

    def share(self, step: int, warmup: int, total_steps: int) -> float:
        """The factor of the base rate in a step (counted from 0) after `warmup` steps of warm-up."""
        raise NotImplementedError

    def __call__(self, optimizer: Optimizer, total_steps: int) -> LRScheduler:
        """The schedule over `total_steps` optimizer steps; `ValueError` if its settings do not fit into them."""
        warmup = _steps("warmup", self.warmup, total_steps)
        self.share(total_steps, warmup, total_steps)  # wrong milestones are told of now, not after the warm-up

        def factor(step: int) -> float:
            # One step beyond the last is asked for at the end, and more if training goes on.
            return (step + 1) / warmup if step < warmup else self.share(min(step, total_steps), warmup, total_steps)

        return LambdaLR(optimizer, factor)

    def settings(self, optimizer: Optimizer, total_steps: int) -> list[dict[str, Any]]:
        """What Lightning is to step, and how often."""
        return [{"scheduler": self(optimizer, total_steps), "interval": "step"}]


@dataclass(frozen=True)
class Constant(Schedule):
    """The full rate to the end."""

    def share(self, step: int, warmup: int, total_steps: int) -> float:
        return 1.0


@dataclass(frozen=True)
class Linear(Schedule):
    """A straight line from the full rate to the share `final` of it."""

    warmup: float = 0.1
    final: float = 0.0

    def __post_init__(self) -> None:
        _require_share("final", self.final)

    def share(self, step: int, warmup: int, total_steps: int) -> float:
        return self.final + (1 - self.final) * _left(step, warmup, total_steps)


@dataclass(frozen=True)
class Polynomial(Schedule):
    """final + (1 - final) * left ** power, of the steps after the warm-up the share `left` that is still to come."""

    warmup: float = 0.1
    power: float = 2.0
    final: float = 0.0

    def __post_init__(self) -> None:
        _require_share("final", self.final)
        if self.power <= 0:
            raise ValueError(f"scheduler.power={self.power}: give a number above 0; 1 is a straight line")

    def share(self, step: int, warmup: int, total_steps: int) -> float:
        return self.final + (1 - self.final) * _left(step, warmup, total_steps) ** self.power


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine wave from the full rate to the share `final`, `cycles` times over (Loshchilov & Hutter 2017)."""

    warmup: float = 0.1
    final: float = 0.0
    cycles: int = 1

    def __post_init__(self) -> None:
        _require_share("final", self.final)
        if self.cycles < 1:
            raise ValueError(f"scheduler.cycles={self.cycles}: give at least 1; each further one is a restart")

    def share(self, step: int, warmup: int, total_steps: int) -> float:
        progress = 1 - _left(step, warmup, total_steps)
        within = 1.0 if progress == 1 else progress * self.cycles % 1
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * within)) / 2


@dataclass(frozen=True)
class Stepwise(Schedule):
    """The rate times `factor` at each of the milestones, or after `every` so many steps; numbers as for `warmup`."""

    factor: float = 0.1
    milestones: Sequence[float] = (0.5, 0.75)
    every: float | None = None

    def __post_init__(self) -> None:
        _require_share("factor", self.factor)
        if self.every is not None and self.every <= 0:
            raise ValueError(f"scheduler.every={self.every}: give a share of all steps (0 to 1) or a number of steps")

    def share(self, step: int, warmup: int, total_steps: int) -> float:
        if self.every is not None:
            return self.factor ** (step // max(1, _steps("every", self.every, total_steps)))
        passed = [step >= _steps("milestones", milestone, total_steps) for milestone in self.milestones]
        return self.factor ** sum(passed)


@dataclass(frozen=True)
class Exponential(Schedule):
    """The same ratio from step to step, until the share `final` at the end."""

    final: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.final <= 1:
            raise ValueError(f"scheduler.final={self.final}: an exponential decay ends above 0 and at most at 1")

    def share(self, step: int, warmup: int, total_steps: int) -> float:
        return self.final ** (1 - _left(step, warmup, total_steps))


@dataclass(frozen=True)
class InverseSqrt(Schedule):
    """sqrt(timescale / (timescale + steps since the full rate)); `timescale` None: the warm-up's (Vaswani 2017)."""

    warmup: float = 0.1
    timescale: int | None = None

    def __post_init__(self) -> None:
        if self.timescale is not None and self.timescale < 1:
            raise ValueError(f"scheduler.timescale={self.timescale}: give a number of steps of at least 1")

    def share(self, step: int, warmup: int, total_steps: int) -> float:
        scale = self.timescale or max(1, warmup)
        return math.sqrt(scale / (scale + step - max(0, warmup - 1)))


@dataclass(frozen=True)
class Plateau(Schedule):
    """The rate times `factor` when `dev/<monitor>` was not better for more than `patience` epochs, down to `final`."""

    monitor: str = "loss"
    factor: float = 0.5
    patience: int = 1
    threshold: float = 1e-4
    final: float = 0.01

    def __post_init__(self) -> None:
        _require_share("final", self.final)
        if not 0 < self.factor < 1:
            raise ValueError(f"scheduler.factor={self.factor}: give a number between 0 and 1")

    def share(self, step: int, warmup: int, total_steps: int) -> float:
        return 1.0

    def settings(self, optimizer: Optimizer, total_steps: int) -> list[dict[str, Any]]:
        [each_step] = super().settings(optimizer, total_steps)
        mode: Literal["min", "max"] = "min" if self.monitor in LOWER_IS_BETTER else "max"
        plateau = _BaseOnPlateau(
            each_step["scheduler"], self.final, mode=mode, factor=self.factor, patience=self.patience,
            threshold=self.threshold, threshold_mode="abs",
        )  # fmt: skip
        # Lightning would look at the epoch's metric after the checkpoint was written, and a resumed run never would.
        own = {"interval": "epoch", "frequency": NEVER, "monitor": f"dev/{self.monitor}"}
        return [each_step, {"scheduler": plateau, **own}]


class _BaseOnPlateau(ReduceLROnPlateau):
    """torch's rule, applied to the base rates on which the schedule of the steps builds, down to the share `final`."""

    def __init__(self, steps: LRScheduler, final: float, **settings: Any) -> None:
        super().__init__(steps.optimizer, **settings)
        self._steps, self.final, self.reduced_to = steps, final, 1.0

    def _reduce_lr(self, epoch: int) -> None:
        ratio = max(self.factor, self.final / self.reduced_to)
        self.reduced_to *= ratio
        scale_base_rates(self._steps, [ratio] * len(self.optimizer.param_groups))

    def state_dict(self) -> dict[str, Any]:
        return {key: value for key, value in super().state_dict().items() if key != "_steps"}


def step_plateaus(schedules: "Iterable[LRSchedulerConfig]", metrics: Mapping[str, Any]) -> None:
    """Show the schedules that watch a metric its value after an epoch, once."""
    for each in schedules:
        if isinstance(each.scheduler, ReduceLROnPlateau):
            each.scheduler.step(float(metrics[str(each.monitor)]))


def scale_base_rates(schedule: LRScheduler, ratios: Sequence[float]) -> None:
    """Multiply the rates of each group by its ratio, now and in all steps to come."""
    for i, (group, ratio) in enumerate(zip(schedule.optimizer.param_groups, ratios)):
        schedule.base_lrs[i] *= ratio
        group["initial_lr"] *= ratio
        group["lr"] *= ratio


def _left(step: int, warmup: int, total_steps: int) -> float:
    """1 in the first step after the warm-up, 0 after the last step."""
    return 0.0 if step >= total_steps else (total_steps - step) / (total_steps - warmup)


def _steps(name: str, value: float, total_steps: int) -> int:
    """A share of all steps, or a number of steps, as a number of steps."""
    if value < 0:
        raise ValueError(f"scheduler.{name}={value}: give a share of all steps (0 to 1) or a number of steps")
    steps = round(value * total_steps) if value < 1 else int(value)
    if steps > total_steps:
        raise ValueError(
            f"scheduler.{name}={value} is {steps} steps, but training has only {total_steps}: "
            "give fewer, or a share below 1"
        )
    return steps


def _require_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"scheduler.{name}={value}: give a share of the full rate, from 0 to 1")
