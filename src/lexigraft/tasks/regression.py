"""A number for each text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from lexigraft.data.encoded import Encoded
from lexigraft.data.text_data import Split
from lexigraft.evaluation.regression import evaluate_numbers
from lexigraft.tasks.losses import Compute


class Regression:
    """A number for each text. The network learns it in standard deviations from the mean of the training labels."""

    kind = "number"
    per_token = False
    monitors = ("mse", "mae", "r2", "pearson", "spearman", "loss")
    curves = ("loss", "mse", "mae", "r2", "pearson", "spearman")
    classes: tuple[str, ...] = ()

    def __init__(self, *, loss: Compute, classes: Sequence[str], train: Sequence[Any]) -> None:
        numbers = np.asarray(train, np.float64)
        self.mean, self.deviation = float(numbers.mean()), float(numbers.std()) or 1.0
        self._loss = loss

    def outputs(self) -> int:
        """One."""
        return 1

    def targets(self, split: Split, encoded: Encoded) -> np.ndarray:
        """The numbers, float32 `[N]`."""
        return np.asarray(split.labels, np.float32)

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The mean loss of outputs `[B, 1]`, in standard deviations."""
        return self._loss(outputs.float().squeeze(-1), self._standard(labels))

    def scores(self, outputs: Tensor) -> Tensor:
        """Numbers `[B]`."""
        return outputs.float().squeeze(-1) * self.deviation + self.mean

    def evaluate(self, scores: Tensor, labels: Tensor, lengths: Tensor | None = None) -> dict[str, Any]:
        """See `evaluate_numbers`; the loss is that of training, in standard deviations."""
        told = evaluate_numbers(scores, labels)
        return told | {"loss": round(self._loss(self._standard(scores), self._standard(labels)).item(), 6)}

    def answer(self, text: str, scores: Tensor) -> dict[str, Any]:
        """The text and its number."""
        return {"text": text, "value": round(scores.item(), 6)}

    def _standard(self, numbers: Tensor) -> Tensor:
        return (numbers.float() - self.mean) / self.deviation
