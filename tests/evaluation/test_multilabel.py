import math

import pytest
import torch

from lexigraft.evaluation.multilabel import evaluate_labels, indicators

NAMES = ("a", "b", "c")
LABELS = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 0]])
PROBABILITIES = torch.tensor([[0.9, 0.2, 0.1], [0.4, 0.8, 0.1], [0.6, 0.1, 0.1], [0.1, 0.7, 0.1]])


def test_metrics_by_hand() -> None:
    told = evaluate_labels(PROBABILITIES, LABELS, NAMES)
    # Yes was said to a (right), b (right), a (wrong), b (right); a of the second text was missed.
    assert (told["micro_precision"], told["micro_recall"], told["micro_f1"]) == (0.75, 0.75, 0.75)
    assert told["per_class"]["a"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    assert told["per_class"]["b"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 2}
    assert told["per_class"]["c"] == {"precision": None, "recall": None, "f1": None, "support": 0}
    assert told["macro_f1"] == 0.75  # of the two classes that are there
    assert told["exact_match"] == 0.5
    assert (told["average_precision"], told["roc_auc"]) == (None, None)  # no text is of class c
    right = torch.where(LABELS == 1, PROBABILITIES, 1 - PROBABILITIES)
    assert told["loss"] == pytest.approx(-right.log().mean().item(), abs=1e-6)
    assert told["count"] == 4


def test_ranking_metrics_by_hand() -> None:
    told = evaluate_labels(PROBABILITIES[:, :2], LABELS[:, :2], NAMES[:2])
    # a: ranks of the right ones are 1 and 3: (1/1 + 2/3) / 2; b: 1 and 2.
    assert told["average_precision"] == pytest.approx((5 / 6 + 1) / 2, abs=1e-6)
    assert told["roc_auc"] == pytest.approx((3 / 4 + 1) / 2, abs=1e-6)


def test_the_threshold_moves_decisions_only() -> None:
    low, high = (evaluate_labels(PROBABILITIES, LABELS, NAMES, threshold) for threshold in (0.3, 0.5))
    assert low["micro_recall"] == 1.0
    assert low["loss"] == high["loss"]


def test_a_class_that_every_text_has_gives_no_area() -> None:
    assert evaluate_labels(PROBABILITIES[:2, :2], LABELS[:2, :2], NAMES[:2])["roc_auc"] is None


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        (torch.full((4, 3), math.nan), "did training diverge"),
        (torch.zeros(4, 2), r"shape \(4, 2\) were given; \(4, 3\) is expected"),
    ],
)
def test_mistakes_get_one_sentence(probabilities: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate_labels(probabilities, LABELS, NAMES)


def test_no_samples_are_an_error() -> None:
    with pytest.raises(ValueError, match="no samples"):
        evaluate_labels(torch.zeros(0, 3), torch.zeros(0, 3), NAMES)


def test_indicators() -> None:
    assert indicators([(0, 2), (), (1,)], 3).tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
