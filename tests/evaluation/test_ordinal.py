import pytest
import torch

from lexigraft.evaluation.ordinal import evaluate_ranks, median_ranks

NAMES = ("low", "middle", "high")


def test_the_median_rank_is_where_half_of_the_probability_is_reached() -> None:
    rows = torch.tensor([[0.6, 0.3, 0.1], [0.4, 0.2, 0.4], [0.1, 0.3, 0.6], [0.5, 0.1, 0.4]])
    assert median_ranks(rows).tolist() == [0, 1, 2, 0]


def test_metrics_by_hand() -> None:
    probabilities = torch.eye(3)[[0, 1, 2, 2]] * 0.8 + 0.2 / 3
    told = evaluate_ranks(probabilities, torch.tensor([0, 1, 2, 0]), NAMES)
    assert told["accuracy"] == 0.75
    assert told["mae"] == 0.5
    # Squared weights: observed 4; expected sum of (i - j)^2 n_i m_j / 4 with n = (2, 1, 1), m = (1, 1, 2).
    expected = (2 * 1 * 1 + 2 * 2 * 4 + 1 * 1 * 1 + 1 * 2 * 1 + 1 * 1 * 4 + 1 * 1 * 1) / 4
    assert told["quadratic_kappa"] == pytest.approx(1 - 4 / expected, abs=1e-6)
    assert told["confusion"] == [[1, 0, 1], [0, 1, 0], [0, 0, 1]]
    true = probabilities[range(4), [0, 1, 2, 0]]
    assert told["loss"] == pytest.approx(-true.log().mean().item(), abs=1e-6)
    assert "roc_auc" not in told


def test_kappa_of_one_rank_alone_is_none() -> None:
    rows = torch.tensor([[0.8, 0.1, 0.1]] * 3)
    assert evaluate_ranks(rows, torch.tensor([0, 0, 0]), NAMES)["quadratic_kappa"] is None
