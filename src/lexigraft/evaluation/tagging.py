"""Metrics of tagged texts, over all units of a split."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lexigraft.data.tag_scheme import scheme_of
from lexigraft.evaluation.entities import entity_scores

NO_TAG = -1
_DECIMALS = 6


def evaluate_tags(
    true: np.ndarray, predicted: np.ndarray, lengths: np.ndarray, classes: Sequence[str]
) -> dict[str, Any]:
    """Metrics of predicted tags `[n]` against true ones `[n]`, of texts of so many units `[N]`, text after text.

    `NO_TAG` is a unit that got none; it is wrong. Keys: accuracy, count (units), texts, without_tag, scheme; for a
    scheme of entities those of `entity_scores`, else macro_f1, per_class {name: {precision, recall, f1, support}} and
    the confusion `[C][C]` of the units that got a tag (rows: true class).
    """
    assert len(true) == len(predicted) == int(lengths.sum())
    if not len(true):
        raise ValueError("there are no units to evaluate: the split is empty")
    scheme = scheme_of(classes)
    told: dict[str, Any] = {
        "accuracy": round(float((true == predicted).mean()), _DECIMALS),
        "count": len(true),
        "texts": len(lengths),
        "without_tag": int((predicted == NO_TAG).sum()),
        "scheme": scheme,
    }
    if scheme is not None:
        names = np.array([*classes, None], dtype=object)  # NO_TAG takes the last
        ends = np.cumsum(lengths)[:-1]
        return told | entity_scores(
            [list(part) for part in np.split(names[true], ends)],
            [list(part) for part in np.split(names[predicted], ends)],
        )
    return told | _per_class(true, predicted, classes)


def _per_class(true: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    size = len(classes)
    tagged = predicted != NO_TAG
    confusion = np.bincount(true[tagged] * size + predicted[tagged], minlength=size * size).reshape(size, size)
    right, given, support = confusion.diagonal(), confusion.sum(0), np.bincount(true, minlength=size)
    per_class: dict[str, dict[str, Any]] = {}
    for i, name in enumerate(classes):
        absent = given[i] == support[i] == 0
        per_class[name] = {
            "precision": None if absent else _share(right[i], given[i]),
            "recall": None if absent else _share(right[i], support[i]),
            "f1": None if absent else _share(2 * right[i], given[i] + support[i]),
            "support": int(support[i]),
        }
    scored = [of["f1"] for of in per_class.values() if of["f1"] is not None]
    return {
        "macro_f1": round(sum(scored) / len(scored), _DECIMALS),
        "per_class": per_class,
        "confusion": confusion.tolist(),
    }


def _share(part: int, whole: int) -> float:
    return round(float(part / whole), _DECIMALS) if whole else 0.0
