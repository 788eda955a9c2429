"""Metrics of texts that belong to any number of classes, exact over all samples of a split."""

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from lexigraft.evaluation.metrics import plain, require_probabilities


def evaluate_labels(
    probabilities: Tensor, labels: Tensor, class_names: Sequence[str], threshold: float = 0.5
) -> dict[str, Any]:
    """Metrics of probabilities `[N, C]` against labels `[N, C]` of 0 and 1, in plain Python values to 6 decimals.

    Keys: micro_f1, micro_precision, micro_recall (over all decisions), macro_f1 (mean over classes that are there or
    predicted), exact_match (texts with every class right), average_precision and roc_auc (means over classes; None if
    some class has no sample, and roc_auc also if one has every sample), loss (mean binary cross-entropy), per_class,
    count. A class is predicted above `threshold`.
    """
    from torchmetrics.classification import (
        MultilabelAUROC,
        MultilabelAveragePrecision,
        MultilabelExactMatch,
        MultilabelF1Score,
        MultilabelPrecision,
        MultilabelRecall,
    )

    classes = len(class_names)
    require_probabilities(probabilities, (len(labels), classes))
    options: dict[str, Any] = {"num_labels": classes, "threshold": threshold, "validate_args": False}
    ranked: dict[str, Any] = {"num_labels": classes, "average": "none"}
    labels = labels.long()
    kinds = {"precision": MultilabelPrecision, "recall": MultilabelRecall, "f1": MultilabelF1Score}
    values: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No (positive|negative) samples")  # reported as None
        for name, kind in kinds.items():
            values[f"micro_{name}"] = plain(kind(average="micro", **options)(probabilities, labels))
            values[name] = plain(kind(average="none", **options)(probabilities, labels))
        exact = plain(MultilabelExactMatch(**options)(probabilities, labels))
        precisions = MultilabelAveragePrecision(**ranked)(probabilities, labels)
        areas = MultilabelAUROC(**ranked)(probabilities, labels)
    support = labels.sum(0)
    there = (support > 0).tolist()
    absent = ~((support > 0) | (probabilities > threshold).any(0))
    per_class = {
        name: {key: None if absent[i] else values[key][i] for key in kinds} | {"support": int(support[i])}
        for i, name in enumerate(class_names)
    }
    scored = [of["f1"] for of in per_class.values() if of["f1"] is not None]
    return {
        **{f"micro_{name}": values[f"micro_{name}"] for name in ("f1", "precision", "recall")},
        "macro_f1": round(sum(scored) / len(scored), 6) if scored else None,
        "exact_match": exact,
        "average_precision": plain(precisions.mean()) if all(there) else None,
        "roc_auc": plain(areas.mean()) if all(there) and bool((support < len(labels)).all()) else None,
        "loss": plain(binary_cross_entropy(probabilities.double(), labels.double())),
        "per_class": per_class,
        "count": len(labels),
    }


def indicators(labels: Sequence[Sequence[int]], classes: int) -> Tensor:
    """Class indices of each text as 0 and 1: float32 `[N, classes]`."""
    out = torch.zeros(len(labels), classes)
    for row, of_text in zip(out, labels):
        row[list(of_text)] = 1.0
    return out
