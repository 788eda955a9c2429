"""A tag for each unit of a text: entities, parts of speech, word boundaries."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lexigraft.data.batches import NOT_COUNTED
from lexigraft.data.encoded import Encoded
from lexigraft.data.tag_scheme import scheme_of
from lexigraft.data.text_data import Split
from lexigraft.evaluation.entities import entities
from lexigraft.evaluation.tagging import NO_TAG, evaluate_tags
from lexigraft.tasks.losses import ClassLoss, CrossEntropy, weight_of


@dataclass(frozen=True)
class _Whole:
    """The tags of all units of a split, some of which have no token: tags `[n]`, has_token `[n]`, lengths `[N]`."""

    tags: np.ndarray
    has_token: np.ndarray
    lengths: np.ndarray


class Tagging:
    """A tag for each unit, told by the unit's first token.

    `scheme` is that of the entities which the tags mark (see `scheme_of`), None where they mark none. Units that have
    no token, because `trainer.max_tokens` cut them off, are measured too: they count as wrong.
    """

    kind = "tags"
    per_token = True

    def __init__(self, *, loss: ClassLoss, classes: Sequence[str], train: Sequence[Any]) -> None:
        self.classes = tuple(classes)
        self.scheme = scheme_of(classes)
        measured = ("accuracy", "macro_f1") if self.scheme is None else ("f1", "precision", "recall", "accuracy")
        # Precision has no value in an epoch that tells no entity at all.
        self.monitors = (*(name for name in measured if name not in ("precision", "recall")), "loss")
        self.curves = ("loss", *measured)
        counts = np.bincount([i for label in train for i in label], minlength=len(classes))
        self._loss = loss.for_classes(classes, counts, int(counts.sum()))
        self._weights = loss.weights(classes, counts) if isinstance(loss, CrossEntropy) else None
        self._whole: deque[_Whole] = deque(maxlen=8)  # splits that lost units, to know them again in `evaluate`

    def outputs(self) -> int:
        """The number of tags."""
        return len(self.classes)

    def targets(self, split: Split, encoded: Encoded) -> np.ndarray:
        """The tag of each unit at its first token, `NOT_COUNTED` elsewhere: int64 `[tokens]`."""
        assert encoded.units is not None
        tags = np.array([tag for label in split.labels if isinstance(label, tuple) for tag in label], np.int64)
        lengths = np.array([len(label) for label in split.labels if isinstance(label, tuple)], np.int64)
        first = encoded.units >= 0
        text = np.repeat(np.arange(len(encoded)), encoded.lengths())[first]
        place = (np.cumsum(lengths) - lengths)[text] + encoded.units[first]
        targets = np.full(len(encoded.ids), NOT_COUNTED, np.int64)
        targets[first] = tags[place]
        has_token = np.zeros(len(tags), bool)
        has_token[place] = True
        if not has_token.all():
            self._whole.append(_Whole(tags, has_token, lengths))
        return targets

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The mean loss over the counted tokens of outputs `[B, T, C]`; 0 where none counts."""
        counted = labels != NOT_COUNTED
        chosen = labels[counted]
        return self._loss(outputs[counted], chosen) if len(chosen) else outputs.float().sum() * 0.0

    def weigh(self, labels: Tensor) -> float:
        """What the mean loss of these labels is divided by."""
        return weight_of(labels, self._weights)

    def scores(self, outputs: Tensor) -> Tensor:
        """Probabilities `[B, T, C]`."""
        return outputs.float().softmax(-1)

    def evaluate(self, scores: Tensor, labels: Tensor, lengths: Tensor | None = None) -> dict[str, Any]:
        """See `evaluate_tags`; the loss is the mean -log p over the units that have a token."""
        assert lengths is not None
        if not torch.isfinite(scores).all():
            raise ValueError("the predicted probabilities hold NaN: did training diverge?")
        whole = self._known(labels.numpy(), lengths.numpy())
        predicted = np.full(len(whole.tags), NO_TAG, np.int64)
        predicted[whole.has_token] = scores.argmax(-1).numpy()
        told = evaluate_tags(whole.tags, predicted, whole.lengths, self.classes)
        right = scores.double().gather(-1, labels[:, None]).clamp(min=torch.finfo(torch.float32).tiny)
        return told | {"loss": round(-right.log().mean().item(), 6)}

    def answer(self, text: str, scores: Tensor) -> dict[str, Any]:
        """The text, a tag for each unit and the entities that they mark.

        `scores` `[units, C]` is NaN for a unit without a token, whose tag is None. Entities tell their first unit and
        the one after their last.
        """
        units = text.split(" ") if text else []
        tags = [None if torch.isnan(row).any() else self.classes[int(row.argmax())] for row in scores]
        told: dict[str, Any] = {"text": text, "tags": tags}
        if self.scheme is not None:
            found = sorted(entities(tags), key=lambda entity: entity[1:])
            told["entities"] = [
                {"type": kind, "start": start, "end": end + 1, "units": units[start : end + 1]}
                for kind, start, end in found
            ]
        return told

    def _known(self, labels: np.ndarray, lengths: np.ndarray) -> _Whole:
        """The whole split whose counted labels these are."""
        for whole in self._whole:
            if np.array_equal(whole.tags[whole.has_token], labels):
                return whole
        return _Whole(labels, np.ones(len(labels), bool), lengths)
