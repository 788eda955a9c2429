import json
import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lexigraft.evaluation.metrics import evaluate_predictions

NAMES = ("a", "b", "c")
PROBABILITIES = torch.tensor(
    [
        [0.7, 0.2, 0.1],  # a -> a
        [0.3, 0.5, 0.2],  # a -> b
        [0.1, 0.8, 0.1],  # b -> b
        [0.2, 0.6, 0.2],  # b -> b
        [0.5, 0.1, 0.4],  # c -> a
    ]
)
LABELS = torch.tensor([0, 0, 1, 1, 2])


def test_values_computed_by_hand():
    result = evaluate_predictions(PROBABILITIES, LABELS, NAMES)
    assert result["count"] == 5
    assert result["accuracy"] == 0.6
    assert result["confusion"] == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert result["per_class"] == {
        "a": {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2},
        "b": {"precision": 0.666667, "recall": 1.0, "f1": 0.8, "support": 2},
        "c": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1},
    }
    assert result["macro_precision"] == pytest.approx((0.5 + 2 / 3) / 3, abs=1e-6)
    assert result["macro_recall"] == 0.5
    assert result["macro_f1"] == pytest.approx(1.3 / 3, abs=1e-6)
    # a: 0.7 beats all three others, 0.3 beats two of them; b: all pairs right; c: 0.4 beats all.
    assert result["roc_auc"] == pytest.approx((5 / 6 + 1 + 1) / 3, abs=1e-6)
    assert result["loss"] == pytest.approx(-sum(map(math.log, (0.7, 0.3, 0.8, 0.6, 0.4))) / 5, abs=1e-6)


def test_the_result_is_plain():
    result = evaluate_predictions(PROBABILITIES.half().float(), LABELS.tolist(), NAMES)
    assert json.loads(json.dumps(result)) == result
    assert [type(result[key]) for key in ("accuracy", "loss", "roc_auc", "count")] == [float, float, float, int]


def test_two_classes_and_ties():
    scores = torch.tensor([0.1, 0.4, 0.4, 0.8])
    result = evaluate_predictions(torch.stack([1 - scores, scores], dim=1), [0, 0, 1, 1], ["no", "yes"])
    assert result["roc_auc"] == 0.875  # three pairs right, one tied
    assert result["accuracy"] == 0.75
    assert result["per_class"]["yes"] == {"precision": 1.0, "recall": 0.5, "f1": 0.666667, "support": 2}


def test_a_class_that_is_neither_present_nor_predicted_is_undefined():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = evaluate_predictions(PROBABILITIES[:4], LABELS[:4], NAMES)
    assert result["per_class"]["c"] == {"precision": None, "recall": None, "f1": None, "support": 0}
    assert result["roc_auc"] is None
    assert result["macro_recall"] == 0.75
    assert result["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 2, abs=1e-6)


def test_a_class_that_is_predicted_but_absent_counts_as_wrong():
    result = evaluate_predictions(PROBABILITIES[[2, 4]], [1, 1], NAMES)
    assert result["per_class"]["a"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    assert result["per_class"]["c"]["f1"] is None
    assert result["macro_f1"] == pytest.approx((2 / 3) / 2, abs=1e-6)


def test_one_class_alone_has_no_roc_auc():
    result = evaluate_predictions(PROBABILITIES[:1, :2], [0], NAMES[:2])
    assert result["roc_auc"] is None
    assert result["accuracy"] == 1.0


def test_a_probability_of_zero_gives_a_finite_loss():
    result = evaluate_predictions(torch.tensor([[1.0, 0.0], [0.5, 0.5]]), [1, 0], ["a", "b"])
    assert 40 < result["loss"] < 50


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 5), st.integers(1, 40), st.integers(0, 10_000))
def test_definitions(classes, count, seed):
    generator = torch.Generator().manual_seed(seed)
    # Coarse scores, so that ties occur.
    scores = torch.randint(0, 4, (count, classes), generator=generator).float()
    probabilities = scores.softmax(1)
    labels = torch.randint(0, classes, (count,), generator=generator)
    names = [str(i) for i in range(classes)]
    result = evaluate_predictions(probabilities, labels, names)

    truth, guess = labels.tolist(), probabilities.argmax(1).tolist()
    f1s, areas = [], []
    for c in range(classes):
        hit = sum(t == g == c for t, g in zip(truth, guess))
        seen, said = truth.count(c), guess.count(c)
        assert result["per_class"][str(c)]["support"] == seen
        if seen + said:
            f1s.append(2 * hit / (seen + said))
            assert result["per_class"][str(c)]["f1"] == pytest.approx(f1s[-1], abs=1e-6)
        inside, outside = probabilities[labels == c, c], probabilities[labels != c, c]
        if len(inside) and len(outside):
            wins = (inside[:, None] > outside).double() + (inside[:, None] == outside).double() / 2
            areas.append(wins.mean().item())
    assert result["macro_f1"] == pytest.approx(sum(f1s) / len(f1s), abs=1e-6)
    assert result["accuracy"] == pytest.approx(sum(t == g for t, g in zip(truth, guess)) / count, abs=1e-6)
    if len(areas) < classes:
        assert result["roc_auc"] is None
    else:
        expected = areas[1] if classes == 2 else sum(areas) / classes
        assert result["roc_auc"] == pytest.approx(expected, abs=1e-5)
    chosen = probabilities.double()[torch.arange(count), labels]
    assert result["loss"] == pytest.approx(-chosen.log().mean().item(), abs=1e-5)


@pytest.mark.parametrize(
    ("probabilities", "labels", "names", "message"),
    [
        (PROBABILITIES, LABELS[:4], NAMES, r"shape \(5, 3\) do not fit 4 labels of 3 classes: \(4, 3\)"),
        (PROBABILITIES, LABELS, ("a", "b"), "do not fit 5 labels of 2 classes"),
        (PROBABILITIES, LABELS, ("a", "b", "a"), "all different"),
        (torch.ones(2, 1), [0, 0], ("a",), "two or more are expected"),
        (PROBABILITIES[:0], LABELS[:0], NAMES, "the split is empty"),
        (PROBABILITIES, LABELS + 1, NAMES, "labels from 1 to 3 were given; only 0 to 2"),
        (PROBABILITIES, LABELS - 1, NAMES, "labels from -1 to 1"),
        (PROBABILITIES * float("nan"), LABELS, NAMES, "NaN .* did training diverge"),
        (PROBABILITIES * 2, LABELS, NAMES, r"outside 0\.\.1"),
    ],
)
def test_refusals(probabilities, labels, names, message):
    with pytest.raises(ValueError, match=message):
        evaluate_predictions(probabilities, labels, names)
