"""Losses of classes: outputs and labels of a batch -> their mean. Those of numbers and ranks: `number_losses`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from lexigraft.data.batches import NOT_COUNTED
from lexigraft.data.labels import listed

Compute = Callable[[Tensor, Tensor], Tensor]
# In YAML: null, the word balanced, or a number for each class.
Weights = str | Sequence[float] | None


class ClassLoss(Protocol):
    """A loss that may weigh classes; `kinds` are the kinds of labels (see `text_data`) that it is for."""

    kinds: ClassVar[tuple[str, ...]]

    def for_classes(self, classes: Sequence[str], counts: np.ndarray, rows: int) -> Compute:
        """The loss for classes that so many (`[C]`) of so many training rows belong to."""
        ...


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy of the softmax.

    `label_smoothing` e moves e of each target's mass to all classes alike (Szegedy et al. 2016). `class_weights` are
    numbers in the order of the classes, or "balanced": rows / (classes * rows of the class). The mean is weighted too.
    """

    label_smoothing: float = 0.0
    class_weights: Weights = None
    kinds: ClassVar[tuple[str, ...]] = ("class", "tags")

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"task.loss.label_smoothing is {self.label_smoothing}; 0 or more, below 1, is expected")

    def for_classes(self, classes: Sequence[str], counts: np.ndarray, rows: int) -> Compute:
        """See `ClassLoss`."""
        weights = self.weights(classes, counts)
        return lambda outputs, labels: self._mean(outputs, labels, weights)

    def weights(self, classes: Sequence[str], counts: np.ndarray) -> Tensor | None:
        """By which the mean is weighted: `[C]`; None: not at all."""
        return class_weights(self.class_weights, classes, _balanced(counts), "class_weights")

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The mean over labels `[n]` of outputs `[n, C]`, of equal classes."""
        return self._mean(outputs, labels, None)

    def _mean(self, outputs: Tensor, labels: Tensor, weights: Tensor | None) -> Tensor:
        weights = None if weights is None else weights.to(outputs.device)
        return cross_entropy(
            outputs.float(), labels, weights, ignore_index=NOT_COUNTED, label_smoothing=self.label_smoothing
        )


@dataclass(frozen=True)
class Focal:
    """Focal loss (Lin et al. 2017): mean of -alpha (1 - p)^gamma log p, where p is the true class's probability.

    `alpha` weighs classes: a number for each in their order, "balanced" as in `CrossEntropy`, or None. With gamma 0
    and no alpha it is cross-entropy.
    """

    gamma: float = 2.0
    alpha: Weights = None
    kinds: ClassVar[tuple[str, ...]] = ("class", "tags")

    def __post_init__(self) -> None:
        if self.gamma < 0:
            raise ValueError(f"task.loss.gamma is {self.gamma}; 0 or more is expected")

    def for_classes(self, classes: Sequence[str], counts: np.ndarray, rows: int) -> Compute:
        """See `ClassLoss`."""
        alpha = class_weights(self.alpha, classes, _balanced(counts), "alpha")
        return lambda outputs, labels: self._mean(outputs, labels, alpha)

    def _mean(self, outputs: Tensor, labels: Tensor, alpha: Tensor | None) -> Tensor:
        log_p = outputs.float().log_softmax(-1).gather(-1, labels[:, None]).squeeze(-1)
        # At p = 1, 1 - p rounds below 0 and its power has no gradient.
        loss = -((1 - log_p.exp()).clamp(min=1e-7) ** self.gamma) * log_p
        return (loss if alpha is None else alpha.to(loss.device)[labels] * loss).mean()


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """Cross-entropy of each class by itself, yes or no, and the mean over texts and classes.

    `pos_weight` multiplies the loss where the answer is yes: a number for each class in their order, "balanced"
    (rows without the class / rows with it), or None.
    """

    pos_weight: Weights = None
    kinds: ClassVar[tuple[str, ...]] = ("several",)

    def for_classes(self, classes: Sequence[str], counts: np.ndarray, rows: int) -> Compute:
        """See `ClassLoss`."""
        with np.errstate(divide="ignore", invalid="ignore"):
            balanced = np.where((counts > 0) & (counts < rows), (rows - counts) / counts, 1.0)
        weight = class_weights(self.pos_weight, classes, balanced, "pos_weight")
        return lambda outputs, labels: binary_cross_entropy_with_logits(
            outputs.float(), labels.float(), pos_weight=None if weight is None else weight.to(outputs.device)
        )


def require_fit(task: Any, loss: Any) -> None:
    """`ValueError` if a loss is not for the kind of labels that a task has."""
    if task.kind not in loss.kinds:
        raise ValueError(
            f"the loss {type(loss).__name__} is for labels of the kind {' or '.join(loss.kinds)}, but those of the "
            f"task {task.__name__} are of the kind {task.kind}: use task/loss={' or '.join(_FITTING[task.kind])}"
        )


def weight_of(labels: Tensor, weights: Tensor | None) -> float:
    """What a mean over labels is divided by: their weights `[C]` together, of None their number."""
    counted = labels[labels != NOT_COUNTED]
    return float(len(counted) if weights is None else weights[counted].sum())


def class_weights(given: Weights, classes: Sequence[str], balanced: np.ndarray, name: str) -> Tensor | None:
    """Weights `[C]`, float32; `ValueError` if they are not one positive number for each class."""
    if given is None:
        return None
    if given == "balanced":
        return torch.tensor(balanced, dtype=torch.float32)
    if isinstance(given, str):
        raise ValueError(f"task.loss.{name} is {given!r}; null, balanced, or a list of numbers is expected")
    if len(given) != len(classes):
        raise ValueError(
            f"task.loss.{name} has {len(given)} numbers for {len(classes)} classes: give one for each, in the order "
            f"{listed(classes)}"
        )
    weights = torch.tensor([float(weight) for weight in given])
    if not (torch.isfinite(weights) & (weights >= 0)).all() or not weights.any():
        raise ValueError(f"task.loss.{name} is {list(given)}; numbers of 0 or more are expected, not all of them 0")
    return weights


def _balanced(counts: np.ndarray) -> np.ndarray:
    """rows / (classes * rows of the class), over the classes that have rows; 1 for the others."""
    there = counts > 0
    return np.where(there, counts.sum() / np.maximum(1, there.sum() * counts), 1.0)


_FITTING = {
    "class": ("cross_entropy", "focal"),
    "tags": ("cross_entropy", "focal"),
    "several": ("bce",),
    "number": ("mse", "huber"),
    "order": ("corn", "cumulative"),
}
