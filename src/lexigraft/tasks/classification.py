"""One class for each text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from lexigraft.data.encoded import Encoded
from lexigraft.data.text_data import Split
from lexigraft.evaluation.metrics import evaluate_predictions
from lexigraft.tasks.losses import ClassLoss, CrossEntropy, weight_of


class Classification:
    """A class for each text; `ValueError` for fewer than two classes."""

    kind = "class"
    per_token = False
    monitors = ("accuracy", "macro_f1", "roc_auc", "loss")
    curves = ("loss", "accuracy", "macro_f1", "roc_auc")

    def __init__(self, *, loss: ClassLoss, classes: Sequence[str], train: Sequence[Any]) -> None:
        if len(classes) < 2:
            raise ValueError(f"a classifier of {len(classes)} class was asked for; at least 2 are expected")
        self.classes = tuple(classes)
        counts = np.bincount(np.asarray(train, np.int64), minlength=len(classes))
        self._loss = loss.for_classes(classes, counts, len(train))
        self._weights = loss.weights(classes, counts) if isinstance(loss, CrossEntropy) else None

    def outputs(self) -> int:
        """The number of classes."""
        return len(self.classes)

    def targets(self, split: Split, encoded: Encoded) -> np.ndarray:
        """Class indices `[N]`."""
        return np.asarray(split.labels, np.int64)

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The mean loss of outputs `[B, C]`."""
        return self._loss(outputs, labels)

    def weigh(self, labels: Tensor) -> float:
        """What the mean loss of these labels is divided by."""
        return weight_of(labels, self._weights)

    def scores(self, outputs: Tensor) -> Tensor:
        """Probabilities `[B, C]`."""
        return outputs.float().softmax(-1)

    def evaluate(self, scores: Tensor, labels: Tensor, lengths: Tensor | None = None) -> dict[str, Any]:
        """See `evaluate_predictions`."""
        return evaluate_predictions(scores, labels, self.classes)

    def answer(self, text: str, scores: Tensor) -> dict[str, Any]:
        """The text, its most probable class and all probabilities."""
        row = scores.tolist()
        probabilities = {name: round(p, 6) for name, p in zip(self.classes, row)}
        return {"text": text, "label": self.classes[row.index(max(row))], "probabilities": probabilities}
