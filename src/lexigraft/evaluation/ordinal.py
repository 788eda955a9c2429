"""Metrics of predicted ranks, exact over all samples of a split."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lexigraft.evaluation.metrics import evaluate_predictions, negative_log_likelihood, plain, require_probabilities


def median_ranks(probabilities: Tensor) -> Tensor:
    """The rank at which half of a text's probability `[.., K]` is reached: it has the least expected error in ranks."""
    return (probabilities[..., :-1].cumsum(-1) < 0.5).sum(-1)


def evaluate_ranks(probabilities: Tensor, labels: Tensor, names: Sequence[str]) -> dict[str, Any]:
    """Metrics of probabilities `[N, K]` against ranks `[N]`, of the median rank of each text.

    Keys: those of `evaluate_predictions` but roc_auc, and mae (mean error in ranks), quadratic_kappa (Cohen's kappa
    with squared weights; None where every text has, and is given, the same rank).
    """
    from torchmetrics.classification import MulticlassCohenKappa

    require_probabilities(probabilities, (len(labels), len(names)))
    ranks = median_ranks(probabilities)
    told = evaluate_predictions(one_hot(ranks, len(names)).float(), labels, names)
    told["loss"] = plain(negative_log_likelihood(probabilities.float(), labels))
    told.pop("roc_auc")
    kappa = MulticlassCohenKappa(len(names), weights="quadratic")(ranks, labels)
    return {
        "mae": plain((ranks - labels).abs().double().mean()),
        "quadratic_kappa": plain(kappa) if bool(torch.isfinite(kappa)) else None,
        **told,
    }
