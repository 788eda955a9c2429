"""Any number of classes for each text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from lexigraft.data.encoded import Encoded
from lexigraft.data.text_data import Split
from lexigraft.evaluation.multilabel import evaluate_labels, indicators
from lexigraft.tasks.losses import ClassLoss


class MultiLabel:
    """The classes that apply to each text, which may be none; a class applies above `threshold`."""

    kind = "several"
    per_token = False
    monitors = ("micro_f1", "macro_f1", "exact_match", "average_precision", "roc_auc", "loss")
    curves = ("loss", "micro_f1", "macro_f1", "exact_match", "average_precision", "roc_auc")

    def __init__(self, *, loss: ClassLoss, classes: Sequence[str], train: Sequence[Any], threshold: float = 0.5):
        if not 0 < threshold < 1:
            raise ValueError(f"task.threshold is {threshold}; a probability between 0 and 1 is expected, such as 0.5")
        self.classes, self.threshold = tuple(classes), threshold
        counts = np.bincount([i for label in train for i in label], minlength=len(classes))
        self._loss = loss.for_classes(classes, counts, len(train))

    def outputs(self) -> int:
        """The number of classes."""
        return len(self.classes)

    def targets(self, split: Split, encoded: Encoded) -> np.ndarray:
        """0 and 1, float32 `[N, C]`."""
        return indicators([label for label in split.labels if isinstance(label, tuple)], len(self.classes)).numpy()

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The mean loss of outputs `[B, C]`."""
        return self._loss(outputs, labels)

    def scores(self, outputs: Tensor) -> Tensor:
        """Probabilities `[B, C]`, each for itself."""
        return outputs.float().sigmoid()

    def evaluate(self, scores: Tensor, labels: Tensor, lengths: Tensor | None = None) -> dict[str, Any]:
        """See `evaluate_labels`."""
        return evaluate_labels(scores, labels, self.classes, self.threshold)

    def answer(self, text: str, scores: Tensor) -> dict[str, Any]:
        """The text, the classes that apply and all probabilities."""
        probabilities = {name: round(p, 6) for name, p in zip(self.classes, scores.tolist())}
        labels = [name for name, p in zip(self.classes, scores.tolist()) if p > self.threshold]
        return {"text": text, "labels": labels, "probabilities": probabilities}
