import math

import numpy as np
import pytest

from lexigraft.runs.predictions import Predictions
from lexigraft.statistics.aso import aso
from lexigraft.statistics.compare import ON_ITEMS, Runs, compare
from lexigraft.statistics.measures import paired_measure
from lexigraft.statistics.paired import paired_bootstrap
from lexigraft.statistics.seeds import welch, wilcoxon
from tests.statistics.said import of_classes, texts

TESTS = ("paired_bootstrap", "approximate_randomisation", "mcnemar", "welch", "wilcoxon", "aso")


def runs(level: float, seed: int, repeats: int = 6, items: int = 400, name: str = "text") -> Runs:
    gold = np.random.default_rng(99).integers(0, 2, items)
    random = np.random.default_rng(seed)
    said = {f"seed={i}": of_classes(random.random(items) < level, gold, name=name) for i in range(repeats)}
    return Runs({key: float((p.gold == p.predicted).mean()) for key, p in said.items()}, said)


A, B = runs(0.9, 0), runs(0.8, 1)


def test_every_test_says_the_same_difference_in_the_order_asked_for():
    found = compare(A, B, TESTS, resamples=500)
    assert [each.name for each in found] == list(TESTS)
    wanted = np.mean(list(A.scores.values())) - np.mean(list(B.scores.values()))
    assert [each.difference for each in found] == pytest.approx([wanted] * 6)
    assert all(each.p is not None and each.p < 0.05 for each in found[:5])
    assert (found[5].p, found[5].epsilon) == (None, 0.0)
    assert all(each.adjusted_p is None for each in found)


def test_results_are_those_of_the_tests_themselves():
    x, y = list(A.scores.values()), list(B.scores.values())
    of = paired_measure(list(A.predictions.values()), list(B.predictions.values()), "macro_f1")
    assert compare(A, B, TESTS, metric="macro_f1", alpha=0.1, seed=3, resamples=200)[0] == paired_bootstrap(
        of, resamples=200, alpha=0.1, seed=3
    )
    assert compare(A, B, ["welch", "wilcoxon", "aso"], alpha=0.1, seed=3) == [
        welch(x, y, 0.1), wilcoxon(x, y, 0.1), aso(x, y, 0.1, seed=3),
    ]  # fmt: skip


def test_folds_are_compared_fold_by_fold():
    folds = [[runs(level, seed + i, 1, name=f"fold {i}") for i in range(3)] for level, seed in ((0.9, 0), (0.8, 10))]
    a, b = (
        Runs(
            {f"fold={i}": each.scores["seed=0"] for i, each in enumerate(side)},
            {f"fold={i}": each.predictions["seed=0"] for i, each in enumerate(side)},
        )
        for side in folds
    )
    for each in compare(a, b, TESTS[:3], resamples=300):
        assert each.difference == pytest.approx(np.mean(list(a.scores.values())) - np.mean(list(b.scores.values())))
        assert each.p is not None
        assert each.p < 0.05
    two = Runs(dict(list(b.scores.items())[:2]), dict(list(b.predictions.items())[:2]))
    assert "only one of the systems was run on (400 texts)" in compare(a, two, ["paired_bootstrap"])[0].note


def test_what_cannot_be_tested_says_why_and_the_others_go_on():
    bare = Runs(A.scores)
    found = {each.name: each for each in compare(bare, B, TESTS)}
    for name in ON_ITEMS:
        assert found[name].p is None
        assert found[name].note == f"{name} was not made: there are no predictions of 6 of 6 runs (seed=0)."
        assert found[name].difference == pytest.approx(found["welch"].difference)
    assert found["welch"].p is not None
    other = compare(A, runs(0.8, 1, name="other"), ["paired_bootstrap", "mcnemar", "welch"])
    assert "only one of the systems was run on" in other[0].note
    assert "different items" in other[1].note
    assert other[2].p is not None
    area = compare(A, B, ["paired_bootstrap", "welch"], metric="roc_auc")
    assert "roc_auc of kind 'class' cannot be resampled" in area[0].note
    assert area[1].p is not None


def test_runs_without_a_partner():
    fewer = Runs(dict(list(B.scores.items())[1:]))
    assert "1 runs that have no partner were left out." in compare(A, fewer, ["wilcoxon"])[0].note
    none = Runs({"seed=77": 0.5}, {"seed=77": B.predictions["seed=0"]})
    for each in compare(A, none, ["wilcoxon", "mcnemar"]):
        assert "no run of one system has a partner of the other" in each.note


def test_where_lower_is_better_aso_asks_for_lower():
    found = compare(Runs({"a": 0.1, "b": 0.2}), Runs({"a": 0.8, "b": 0.9}), ["aso"], metric="mae")[0]
    assert found.epsilon == 0.0
    assert found.difference == pytest.approx(-0.7)
    assert "Lower is better" in found.note


def test_mcnemar_looks_at_whole_texts_and_not_at_numbers():
    gold, said = np.array([0, 1, 0, 1], np.int32), np.array([0, 1, 0, 0], np.int32)
    lengths = np.array([2, 0, 2])
    right = Predictions("tags", ("N", "V"), texts(3), gold, gold, None, lengths)
    wrong = Predictions("tags", ("N", "V"), texts(3), gold, said, None, lengths)
    found = compare(Runs({"s": 1.0}, {"s": right}), Runs({"s": 0.75}, {"s": wrong}), ["mcnemar"])[0]
    assert found.difference == pytest.approx(1 / 3)
    assert "texts right or wrong" in found.note
    several = Predictions("several", ("a", "b"), texts(2), np.eye(2, dtype=bool), np.ones((2, 2), bool))
    alike = Runs({"s": 0.0}, {"s": several})
    assert compare(alike, alike, ["mcnemar"], metric="micro_f1")[0].p == 1.0
    number = Predictions("number", (), texts(2), np.ones(2, np.float32), np.ones(2, np.float32))
    numbers = Runs({"s": 0.0}, {"s": number})
    assert "which predicted numbers are not" in compare(numbers, numbers, ["mcnemar"])[0].note


def test_scores_that_are_none_are_refused():
    with pytest.raises(ValueError, match="no scores were given"):
        compare(Runs({}), B)
    with pytest.raises(ValueError, match="hold NaN"):
        compare(Runs({"a": math.nan}), B)
