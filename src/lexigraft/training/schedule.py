"""Learning-rate schedules, stepped once per optimizer step."""

from dataclasses import dataclass

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


@dataclass(frozen=True)
class Linear:
    """Linear warm-up from 0, then linear decay to 0 at the last step.

    `warmup` below 1 is a share of all steps, from 1 on a number of steps.
    """

    warmup: float = 0.1

    def __call__(self, optimizer: Optimizer, total_steps: int) -> LambdaLR:
        """The schedule over `total_steps` optimizer steps."""
        warmup = _warmup_steps(self.warmup, total_steps)

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            return max(0.0, (total_steps - step) / max(1, total_steps - warmup))

        return LambdaLR(optimizer, factor)


@dataclass(frozen=True)
class Constant:
    """Linear warm-up from 0, then the full learning rate; `warmup` as for `Linear`."""

    warmup: float = 0.0

    def __call__(self, optimizer: Optimizer, total_steps: int) -> LambdaLR:
        """The schedule over `total_steps` optimizer steps."""
        warmup = _warmup_steps(self.warmup, total_steps)
        return LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / max(1, warmup)))


def _warmup_steps(warmup: float, total_steps: int) -> int:
    if warmup < 0:
        raise ValueError(f"scheduler.warmup={warmup}: give a share of all steps (0 to 1) or a number of steps")
    steps = round(warmup * total_steps) if warmup < 1 else int(warmup)
    if steps > total_steps:
        raise ValueError(
            f"scheduler.warmup={warmup} is {steps} steps, but training has only {total_steps}: "
            "give fewer, or a share below 1"
        )
    return steps
