import math

import numpy as np
import pytest
from scipy import stats

from lexigraft.statistics.summary import bootstrap_interval, summarise, summarise_folds

SCORES = [0.81, 0.84, 0.79, 0.86, 0.83]


def test_mean_deviation_and_t_interval_are_scipys():
    found = summarise(SCORES, alpha=0.1)
    assert (found.count, found.mean, found.deviation) == pytest.approx((5, np.mean(SCORES), np.std(SCORES, ddof=1)))
    assert found.error == pytest.approx(stats.sem(SCORES))
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.9, 4, np.mean(SCORES), stats.sem(SCORES)))


@pytest.mark.parametrize("method", ["t", "percentile", "bca"])
def test_one_run_has_a_mean_and_nothing_else(method):
    found = summarise([0.5], method=method)
    assert (found.count, found.mean) == (1, 0.5)
    assert all(math.isnan(each) for each in (found.deviation, found.error, found.low, found.high))


@pytest.mark.parametrize("method", ["t", "percentile", "bca"])
def test_equal_scores_have_an_interval_of_no_width(method):
    found = summarise([0.5, 0.5, 0.5], method=method)
    assert (found.deviation, found.low, found.high) == (0.0, 0.5, 0.5)


def test_a_bootstrap_is_the_same_for_one_seed_and_lies_about_the_mean():
    assert bootstrap_interval(SCORES, seed=1) == bootstrap_interval(SCORES, seed=1)
    assert bootstrap_interval(SCORES, seed=1) != bootstrap_interval(SCORES, seed=2)
    found = summarise(SCORES, method="percentile")
    assert min(SCORES) <= found.low < found.mean < found.high <= max(SCORES)
    assert found.low != bootstrap_interval(SCORES, method="bca")[0]


def test_intervals_cover_the_true_mean():
    random = np.random.default_rng(0)
    samples = random.normal(3.0, 2.0, (1000, 4))
    within = [s.low <= 3.0 <= s.high for s in map(summarise, samples)]
    assert 0.93 < np.mean(within) < 0.97
    larger = random.exponential(1.0, (150, 40))
    covered = [low <= 1.0 <= high for low, high in (bootstrap_interval(s, resamples=500) for s in larger)]
    assert 0.87 < np.mean(covered) < 0.99


def test_folds_that_share_training_texts_are_less_sure():
    # Ten folds: 1/10 + 1/9 of the variance instead of 1/10.
    scores = [*SCORES, *SCORES]
    alone, folds = summarise(scores), summarise_folds(scores, train=900, test=100)
    assert (folds.mean, folds.deviation) == (alone.mean, alone.deviation)
    assert folds.error / alone.error == pytest.approx(math.sqrt((1 / 10 + 1 / 9) * 10))
    assert (folds.high - folds.mean) / folds.error == pytest.approx(stats.t.ppf(0.975, 9))
    assert math.isnan(summarise_folds([0.5], 9, 1).low)


def test_what_is_no_score_is_a_sentence():
    with pytest.raises(ValueError, match="no scores were given; those of one run or more are expected"):
        summarise([])
    with pytest.raises(ValueError, match=r"hold NaN or infinity: leave out runs that have no value"):
        summarise([0.5, float("nan")])
    with pytest.raises(ValueError, match="train=0 and test=5 texts were given"):
        summarise_folds(SCORES, 0, 5)
