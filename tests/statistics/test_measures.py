import numpy as np
import pytest
import torch

from lexigraft.evaluation.metrics import evaluate_predictions
from lexigraft.evaluation.multilabel import evaluate_labels
from lexigraft.evaluation.ordinal import evaluate_ranks, median_ranks
from lexigraft.evaluation.regression import evaluate_numbers
from lexigraft.evaluation.tagging import NO_TAG, evaluate_tags
from lexigraft.runs.predictions import Predictions
from lexigraft.statistics.measures import contributions, paired_measure
from tests.statistics.said import of_classes, texts

CLASSES = ("a", "b", "c", "d", "never")


def value(predictions: Predictions, metric: str) -> float:
    rows, of = contributions(predictions, metric)
    return float(of(rows.sum(0, dtype=np.float64)))


def probabilities(count: int, classes: int, seed: int = 0) -> np.ndarray:
    scores = np.random.default_rng(seed).random((count, classes)).astype(np.float32)
    scores[:, -1] = 0  # the last class is never predicted
    return scores / scores.sum(1, keepdims=True)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "macro_precision", "macro_recall", "loss"])
def test_those_of_a_class_are_the_evaluations(metric):
    scores, gold = probabilities(60, 5), np.random.default_rng(1).integers(0, 3, 60)
    p = Predictions("class", CLASSES, texts(60), gold.astype(np.int32), scores.argmax(1).astype(np.int32), scores)
    assert value(p, metric) == pytest.approx(
        evaluate_predictions(torch.from_numpy(scores), torch.from_numpy(gold), CLASSES)[metric], abs=2e-6
    )


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "mae"])
def test_those_of_ranks_are_the_evaluations(metric):
    scores, gold = probabilities(60, 5), np.random.default_rng(1).integers(0, 5, 60)
    ranks = median_ranks(torch.from_numpy(scores)).numpy().astype(np.int32)
    p = Predictions("order", CLASSES, texts(60), gold.astype(np.int32), ranks, scores)
    told = evaluate_ranks(torch.from_numpy(scores), torch.from_numpy(gold), CLASSES)
    assert value(p, metric) == pytest.approx(told[metric], abs=2e-6)


@pytest.mark.parametrize("metric", ["micro_f1", "micro_precision", "micro_recall", "macro_f1", "exact_match"])
def test_those_of_several_classes_are_the_evaluations(metric):
    random = np.random.default_rng(0)
    gold, scores = random.random((60, 5)) < 0.4, random.random((60, 5)).astype(np.float32)
    gold[:, -1], scores[:, -1] = False, 0.0
    p = Predictions("several", CLASSES, texts(60), gold, scores > 0.5, scores)
    told = evaluate_labels(torch.from_numpy(scores), torch.from_numpy(gold).float(), CLASSES)
    assert value(p, metric) == pytest.approx(told[metric], abs=2e-6)


@pytest.mark.parametrize("metric", ["mse", "mae", "r2", "pearson"])
def test_those_of_numbers_are_the_evaluations(metric):
    random = np.random.default_rng(0)
    gold = random.normal(100, 1, 50).astype(np.float32)
    said = (gold + random.normal(0, 0.5, 50)).astype(np.float32)
    p = Predictions("number", (), texts(50), gold, said)
    told = evaluate_numbers(torch.from_numpy(said), torch.from_numpy(gold))
    assert value(p, metric) == pytest.approx(told[metric], abs=2e-6)


@pytest.mark.parametrize(
    ("tags", "metrics"),
    [
        (("O", "B-PER", "I-PER", "B-LOC", "I-LOC"), ("accuracy", "f1", "precision", "recall")),
        (("NN", "VB", "DT", "IN", "JJ"), ("accuracy", "macro_f1")),
    ],
)
def test_those_of_tags_are_the_evaluations_and_items_are_texts(tags, metrics):
    random = np.random.default_rng(0)
    lengths = random.integers(0, 9, 40)
    gold = random.integers(0, 5, lengths.sum()).astype(np.int32)
    said = np.where(random.random(len(gold)) < 0.7, gold, random.integers(NO_TAG, 5, len(gold))).astype(np.int32)
    p = Predictions("tags", tags, texts(40), gold, said, None, lengths)
    told = evaluate_tags(gold, said, lengths, tags)
    for metric in metrics:
        assert contributions(p, metric)[0].shape[0] == 40
        assert value(p, metric) == pytest.approx(told[metric], abs=2e-6)


def test_there_are_values_where_nothing_is_predicted_or_all_numbers_are_equal():
    nothing = np.zeros((3, 2), bool)
    p = Predictions("several", ("a", "b"), texts(3), nothing, nothing)
    assert (value(p, "micro_f1"), value(p, "macro_f1"), value(p, "exact_match")) == (0.0, 0.0, 1.0)
    same = Predictions("number", (), texts(3), np.ones(3, np.float32), np.full(3, 2, np.float32))
    assert (value(same, "r2"), value(same, "pearson"), value(same, "mae")) == (0.0, 0.0, 1.0)


def test_a_metric_without_sums_names_those_that_have_some():
    p = of_classes(np.ones(4, bool), np.zeros(4, int))
    with pytest.raises(
        ValueError, match="roc_auc of kind 'class' cannot be resampled item by item; accuracy, macro_f1"
    ):
        contributions(p, "roc_auc")


def test_runs_are_put_into_one_order():
    gold = np.array([0, 1, 0, 1])
    a = of_classes(np.array([True, True, False, True]), gold)
    turned = a.take(np.array([3, 2, 1, 0]))
    both = paired_measure([a, turned], [turned], "accuracy")
    assert np.array_equal(both.a[0], both.a[1])
    assert np.array_equal(both.a[0], both.b[0])
    assert [each.tolist() for each in both.scores()] == [[0.75, 0.75], [0.75]]
    with pytest.raises(ValueError, match="different items"):
        paired_measure([a], [of_classes(np.ones(4, bool), gold, name="other")], "accuracy")
