"""Losses of numbers and of ranks: outputs and labels of a batch -> their mean."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, huber_loss, mse_loss


@dataclass(frozen=True)
class SquaredError:
    """Mean squared error."""

    kinds: ClassVar[tuple[str, ...]] = ("number",)

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The mean over outputs and labels `[n]`."""
        return mse_loss(outputs, labels)


@dataclass(frozen=True)
class Huber:
    """Huber's loss (1964): squared below an error of `delta`, linear above, so that outliers pull less.

    `delta` is in standard deviations of the training labels.
    """

    delta: float = 1.0
    kinds: ClassVar[tuple[str, ...]] = ("number",)

    def __post_init__(self) -> None:
        if self.delta <= 0:
            raise ValueError(f"task.loss.delta is {self.delta}; a number above 0 is expected")

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The mean over outputs and labels `[n]`."""
        return huber_loss(outputs, labels, delta=self.delta)


class RankLoss(Protocol):
    """A loss over K - 1 outputs, one for each step from a rank to the next."""

    kinds: ClassVar[tuple[str, ...]]

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The mean of outputs `[n, K - 1]` against ranks `[n]`."""
        ...

    def weigh(self, labels: Tensor, steps: int) -> float:
        """What the mean of these ranks `[n]` is divided by, of so many outputs each (or a multiple of it)."""
        ...

    def above(self, outputs: Tensor) -> Tensor:
        """The probability that the rank is above k, for k from 0 to K - 2: `[n, K - 1]`, never rising."""
        ...


@dataclass(frozen=True)
class Corn:
    """CORN (Shi, Cao & Raschka 2023): output k says whether the rank is above k where it is above k - 1.

    Their product never rises from rank to rank; CORAL (Cao et al. 2020) needs equal weights for every step for that.
    """

    kinds: ClassVar[tuple[str, ...]] = ("order",)

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The mean over the steps that each text is asked."""
        steps = torch.arange(outputs.shape[-1], device=outputs.device)
        asked = (labels[:, None] >= steps).float()
        losses = binary_cross_entropy_with_logits(outputs.float(), (labels[:, None] > steps).float(), reduction="none")
        return (losses * asked).sum() / asked.sum()

    def weigh(self, labels: Tensor, steps: int) -> float:
        """The steps that the texts are asked."""
        return float((labels + 1).clamp(max=steps).sum())

    def above(self, outputs: Tensor) -> Tensor:
        """See `RankLoss`."""
        return outputs.float().sigmoid().cumprod(-1)


@dataclass(frozen=True)
class Cumulative:
    """Extended binary classification (Niu et al. 2016): output k says whether the rank is above k.

    The outputs may contradict one another; the probabilities are then those of the lower step.
    """

    kinds: ClassVar[tuple[str, ...]] = ("order",)

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The mean over texts and steps."""
        steps = torch.arange(outputs.shape[-1], device=outputs.device)
        return binary_cross_entropy_with_logits(outputs.float(), (labels[:, None] > steps).float())

    def weigh(self, labels: Tensor, steps: int) -> float:
        """The number of texts."""
        return float(len(labels))

    def above(self, outputs: Tensor) -> Tensor:
        """See `RankLoss`."""
        return outputs.float().sigmoid().cummin(-1).values
