"""One of several ranks for each text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lexigraft.data.encoded import Encoded
from lexigraft.data.text_data import Split
from lexigraft.evaluation.ordinal import evaluate_ranks, median_ranks
from lexigraft.tasks.number_losses import RankLoss


class Ordinal:
    """A rank for each text: classes in order, told by the steps between them (see the losses)."""

    kind = "order"
    per_token = False
    monitors = ("mae", "quadratic_kappa", "accuracy", "macro_f1", "loss")
    curves = ("loss", "mae", "quadratic_kappa", "accuracy", "macro_f1")

    def __init__(self, *, loss: RankLoss, classes: Sequence[str], train: Sequence[Any]) -> None:
        self.classes = tuple(classes)
        self._loss = loss

    def outputs(self) -> int:
        """The steps between ranks: one fewer than ranks."""
        return len(self.classes) - 1

    def targets(self, split: Split, encoded: Encoded) -> np.ndarray:
        """Ranks from 0, int64 `[N]`."""
        return np.asarray(split.labels, np.int64)

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The mean loss of outputs `[B, K - 1]`."""
        return self._loss(outputs, labels)

    def weigh(self, labels: Tensor) -> float:
        """What the mean loss of these ranks is divided by."""
        return self._loss.weigh(labels, self.outputs())

    def scores(self, outputs: Tensor) -> Tensor:
        """Probabilities `[B, K]` of the ranks."""
        above = self._loss.above(outputs)
        ends = torch.ones_like(above[..., :1])
        return torch.cat([ends, above], -1) - torch.cat([above, torch.zeros_like(ends)], -1)

    def evaluate(self, scores: Tensor, labels: Tensor, lengths: Tensor | None = None) -> dict[str, Any]:
        """See `evaluate_ranks`."""
        return evaluate_ranks(scores, labels, self.classes)

    def answer(self, text: str, scores: Tensor) -> dict[str, Any]:
        """The text, its median rank and the probabilities of all ranks."""
        probabilities = {name: round(p, 6) for name, p in zip(self.classes, scores.tolist())}
        return {"text": text, "label": self.classes[int(median_ranks(scores))], "probabilities": probabilities}
