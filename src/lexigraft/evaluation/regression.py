"""Metrics of predicted numbers, exact over all samples of a split."""

import math
import warnings
from typing import Any

import torch
from torch import Tensor

from lexigraft.evaluation.metrics import plain


def evaluate_numbers(values: Tensor, labels: Tensor) -> dict[str, Any]:
    """mse, mae, r2, pearson, spearman and count of values `[N]` against labels `[N]`, to 6 decimals.

    r2 is None where all labels are equal or there is one only, the correlations also where all values are equal.
    `ValueError` for NaN, and for no samples at all.
    """
    from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError, PearsonCorrCoef, R2Score, SpearmanCorrCoef

    if len(labels) == 0:
        raise ValueError("there are no samples to evaluate: the split is empty")
    if not torch.isfinite(values).all():
        raise ValueError("the predicted numbers hold NaN or infinity: did training diverge?")
    values, labels = values.double(), labels.double()
    varied = len(labels) > 1 and bool((labels != labels[0]).any())
    related = varied and bool((values != values[0]).any())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*will save all targets and predictions")
        spearman = SpearmanCorrCoef()
    return {
        "mse": plain(MeanSquaredError()(values, labels)),
        "mae": plain(MeanAbsoluteError()(values, labels)),
        "r2": plain(R2Score()(values, labels)) if varied else None,
        "pearson": _finite(plain(PearsonCorrCoef()(values, labels))) if related else None,
        "spearman": _finite(plain(spearman(values, labels))) if related else None,
        "count": len(labels),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
