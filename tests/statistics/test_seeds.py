import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from lexigraft.statistics.seeds import a12, cohens_d, corrected_t, welch, wilcoxon

A, B = [0.86, 0.84, 0.88, 0.87], [0.81, 0.84, 0.79, 0.86, 0.83]
# Depression scores before and after (Hollander & Wolfe 1973, table 3.1): exact two-sided p 0.0391.
BEFORE = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
AFTER = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]


def test_welch_is_scipys():
    found, wanted = welch(A, B, alpha=0.1), stats.ttest_ind(A, B, equal_var=False)
    assert found.p == pytest.approx(wanted.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(wanted.confidence_interval(0.9)))
    assert found.difference == pytest.approx(np.mean(A) - np.mean(B))
    assert found.note == ""


def test_welch_without_spread_has_no_p():
    assert welch([0.5], B).p is None
    assert welch([0.5], B).note == "Welch's test needs 2 runs or more of each system."
    same = welch([0.5, 0.5], [0.4, 0.4])
    assert (same.p, same.difference) == (None, pytest.approx(0.1))
    assert "no spread" in same.note


def test_wilcoxon_is_the_published_and_scipys_exact_one():
    found = wilcoxon(BEFORE, AFTER)
    assert found.p == pytest.approx(0.0390625)
    assert found.p == pytest.approx(stats.wilcoxon(BEFORE, AFTER, method="exact").pvalue)
    assert found.note == ""
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < np.median(np.subtract(BEFORE, AFTER)) < found.high


def test_wilcoxon_is_exact_where_differences_are_equal_and_leaves_out_those_of_0():
    differences = np.array([0.25, 0.25, -0.25, 0.5, 0.5, 0.75, 0.0, 1.0])
    moved = differences[differences != 0]
    ranks = stats.rankdata(np.abs(moved))
    sums = np.array([ranks[np.array(signs) > 0].sum() for signs in product((-1, 1), repeat=len(moved))])
    observed = ranks[moved > 0].sum()
    wanted = 2 * min((sums <= observed).mean(), (sums >= observed).mean())
    assert wilcoxon(differences + 1, np.ones(8)).p == pytest.approx(wanted)


def test_differences_that_only_rounding_tells_apart_are_equal():
    a, b = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8], [0.2, 0.3, 0.4, 0.5, 0.6, 0.9]
    exact = [d / 10 for d in (1, 1, 1, 1, 1, -1)]
    assert wilcoxon(a, b).p == pytest.approx(wilcoxon(exact, [0] * 6).p)
    assert wilcoxon([0.1 + 0.2], [0.3]).p == 1.0


def test_too_few_pairs_are_said_to_be_too_few():
    found = wilcoxon([0.5, 0.6, 0.7], [0.4, 0.5, 0.5])
    assert found.p == pytest.approx(0.25)
    assert found.note == "With 3 pairs that differ, p cannot be below 0.25, whatever the scores: 6 are needed for 0.05."
    assert (found.low, found.high) == (None, None)
    assert wilcoxon(range(1, 7), [0] * 6).p == pytest.approx(2**-5)
    assert wilcoxon(range(1, 7), [0] * 6).note == ""


def test_the_interval_of_wilcoxon_covers_at_least_as_often_as_it_says():
    random = np.random.default_rng(0)
    found = [wilcoxon(sample, np.zeros(8)) for sample in random.normal(0.5, 1, (500, 8))]
    covered = np.mean([r.low <= 0.5 <= r.high for r in found if r.low is not None and r.high is not None])
    assert 0.94 < covered < 0.985
    # The test and its interval agree.
    assert all((r.p <= 0.05) == (not r.low <= 0 <= r.high) for r in found)


def test_other_numbers_of_runs_cannot_be_paired():
    with pytest.raises(ValueError, match="Wilcoxon's test pairs runs, but was given 4 and 5 of them"):
        wilcoxon(A, B)
    with pytest.raises(ValueError, match="the paired t test pairs runs, but was given 4 and 5"):
        corrected_t(A, B, 9, 1)


def test_the_corrected_t_test_is_the_paired_one_when_no_text_is_shared():
    wanted = stats.ttest_rel(BEFORE, AFTER)
    found = corrected_t(BEFORE, AFTER, train=1e12, test=1)
    assert found.p == pytest.approx(wanted.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(wanted.confidence_interval(0.95)))
    shared = corrected_t(BEFORE, AFTER, train=8, test=1)
    t = np.mean(np.subtract(BEFORE, AFTER)) / np.std(np.subtract(BEFORE, AFTER), ddof=1) / math.sqrt(1 / 9 + 1 / 8)
    assert shared.p == pytest.approx(2 * stats.t.sf(t, 8))
    assert corrected_t([1, 2], [0, 1], 8, 1).p is None


def test_effect_sizes():
    assert cohens_d([2, 4], [1, 3]) == pytest.approx(1 / math.sqrt(2))
    assert math.isnan(cohens_d([1, 1], [0, 0]))
    assert math.isnan(cohens_d([1], [0]))
    assert a12([1, 2, 3], [0, 0]) == 1.0
    assert a12([1, 2], [2, 1]) == 0.5
    assert a12(A, B) == pytest.approx(stats.mannwhitneyu(A, B).statistic / 20)
