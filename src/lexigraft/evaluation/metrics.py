"""Classification metrics, exact over all samples of a split.

Here and in its neighbours torchmetrics is imported where it is used: that takes seconds, for which whoever only checks
a config, plans a study or writes a report would wait in vain.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

DECIMALS = 6
# Of all metrics by which an epoch may be chosen.
LOWER_IS_BETTER = ("loss", "mse", "mae", "bits_per_byte", "replaced_loss")


def evaluate_predictions(
    probabilities: Tensor, labels: Tensor | Sequence[int], class_names: Sequence[str]
) -> dict[str, Any]:
    """Metrics of probabilities `[N, C]` against labels `[N]`, in plain Python values to 6 decimals.

    Keys: accuracy, macro_f1, macro_precision, macro_recall, roc_auc, loss (mean negative log likelihood),
    per_class {name: {precision, recall, f1, support}}, confusion `[C][C]` (rows: true class), count.

    A class that is neither among the labels nor predicted has None for its metrics and no part in the macro
    means; one that is present but never predicted has precision 0. roc_auc is that of the second of two classes,
    else the mean over classes of one against the rest; None if some class has no sample: it is undefined then.
    `ValueError` for shapes that do not fit, labels that name no class, NaN, and no samples at all.
    """
    labels = torch.as_tensor(labels)
    _check(probabilities, labels, class_names)
    probabilities = probabilities.float()
    values = _measures(probabilities, labels)
    confusion = values["confusion"]
    support = [sum(row) for row in confusion]
    predicted = [sum(column) for column in zip(*confusion)]
    per_class: dict[str, dict[str, Any]] = {}
    for i, name in enumerate(class_names):
        absent = support[i] == predicted[i] == 0
        scores = {key: None if absent else values[key][i] for key in ("precision", "recall", "f1")}
        per_class[name] = {**scores, "support": support[i]}
    return {
        **{key: values[key] for key in ("accuracy", "macro_f1", "macro_precision", "macro_recall")},
        "roc_auc": _roc_auc(values["roc_auc"], support),
        "loss": plain(negative_log_likelihood(probabilities, labels)),
        "per_class": per_class,
        "confusion": confusion,
        "count": len(labels),
    }


def plain(value: Tensor) -> Any:
    """Python numbers; rounding hides that torchmetrics divides in float32, where 8 of 25 is 0.3199999928."""
    if not value.is_floating_point():
        return value.tolist()
    return round(value.item(), DECIMALS) if value.ndim == 0 else [round(v, DECIMALS) for v in value.tolist()]


def _measures(probabilities: Tensor, labels: Tensor) -> dict[str, Any]:
    """precision, recall, f1 and roc_auc are lists of C, confusion is `[C][C]`; where one is undefined, it is 0."""
    from torchmetrics import MetricCollection
    from torchmetrics.classification import (
        MulticlassAccuracy,
        MulticlassAUROC,
        MulticlassConfusionMatrix,
        MulticlassF1Score,
        MulticlassPrecision,
        MulticlassRecall,
    )

    classes = probabilities.shape[1]
    metrics = MetricCollection(
        {
            "accuracy": MulticlassAccuracy(classes, average="micro"),
            "macro_f1": MulticlassF1Score(classes, average="macro"),
            "macro_precision": MulticlassPrecision(classes, average="macro"),
            "macro_recall": MulticlassRecall(classes, average="macro"),
            "precision": MulticlassPrecision(classes, average="none"),
            "recall": MulticlassRecall(classes, average="none"),
            "f1": MulticlassF1Score(classes, average="none"),
            "roc_auc": MulticlassAUROC(classes, average="none"),
            "confusion": MulticlassConfusionMatrix(classes),
        }
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No (positive|negative) samples in targets")  # reported as None
        metrics.update(probabilities, labels)
        return {name: plain(value) for name, value in metrics.compute().items()}


def negative_log_likelihood(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Mean of -log p(true class), in nats; a p that underflowed to 0 counts as the smallest normal float."""
    true = probabilities.gather(1, labels[:, None]).clamp(min=torch.finfo(torch.float32).tiny)
    return -true.double().log().mean()


def _roc_auc(one_vs_rest: list[float], support: list[int]) -> float | None:
    if 0 in support:
        return None
    if len(support) == 2:
        return one_vs_rest[1]
    return round(sum(one_vs_rest) / len(one_vs_rest), DECIMALS)


def _check(probabilities: Tensor, labels: Tensor, class_names: Sequence[str]) -> None:
    classes = len(class_names)
    if classes < 2 or len(set(class_names)) < classes:
        raise ValueError(f"class names {list(class_names)} were given; two or more are expected, all different")
    expected = (len(labels), classes)
    if tuple(probabilities.shape) != expected or labels.ndim != 1:
        raise ValueError(
            f"probabilities of shape {tuple(probabilities.shape)} do not fit {len(labels)} labels of {classes} "
            f"classes: {expected} is expected"
        )
    if len(labels) == 0:
        raise ValueError("there are no samples to evaluate: the split is empty")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise ValueError(f"labels from {low} to {high} were given; only 0 to {classes - 1} name a class")
    _require_range(probabilities)


def require_probabilities(probabilities: Tensor, shape: tuple[int, ...]) -> None:
    """`ValueError` for another shape, for values outside 0..1 and for no samples at all."""
    if tuple(probabilities.shape) != shape:
        raise ValueError(f"probabilities of shape {tuple(probabilities.shape)} were given; {shape} is expected")
    if shape[0] == 0:
        raise ValueError("there are no samples to evaluate: the split is empty")
    _require_range(probabilities)


def _require_range(probabilities: Tensor) -> None:
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("the predicted probabilities hold NaN or values outside 0..1: did training diverge?")
