import numpy as np
import pytest
from scipy import integrate, stats

from lexigraft.statistics.aso import CLEAR, aso, violation


def test_violation_of_normal_distributions_is_the_closed_form():
    # Quantiles differ by 0.5 - z, which is below 0 for z > 0.5; the whole integral is 0.5^2 + 1^2.
    against, _ = integrate.quad(lambda z: (0.5 - z) ** 2 * stats.norm.pdf(z), 0.5, 20)
    places = (np.arange(20_000) + 0.5) / 20_000
    a, b = stats.norm.ppf(places, 0.5, 1), stats.norm.ppf(places, 0, 2)
    assert violation(a, b) == pytest.approx(against / 1.25, abs=2e-3)


def test_violation_of_samples_of_other_sizes_is_the_integral_of_their_quantiles():
    random = np.random.default_rng(0)
    a, b = random.normal(size=7), random.normal(size=4)
    places = (np.arange(28_000) + 0.5) / 28_000
    distance = np.quantile(a, places, method="inverted_cdf") - np.quantile(b, places, method="inverted_cdf")
    assert violation(a, b) == pytest.approx((distance**2 * (distance < 0)).sum() / (distance**2).sum())
    assert violation(a, b) + violation(b, a) == pytest.approx(1)


def test_one_that_is_always_above_is_clear_and_the_other_way_round_is_not():
    a, b = [0.9, 0.91, 0.92, 0.93, 0.94], [0.8, 0.81, 0.82, 0.83, 0.84]
    above, below = aso(a, b), aso(b, a)
    assert (above.epsilon, below.epsilon) == (0.0, 1.0)
    assert above.note == "epsilon 0.00: the first system is almost stochastically greater."
    assert below.note == "epsilon 1.00: not shown that the first system is greater."
    assert above.p is None
    assert above.difference == pytest.approx(0.1)


def test_equal_samples_say_nothing():
    assert violation([1, 2], [2, 1]) == 0.5
    assert aso([1.0, 1.0], [1.0, 1.0]).epsilon == 0.5
    assert aso([0.5], [0.4, 0.3]).epsilon is None
    assert "needs 2 runs or more" in aso([0.5], [0.4, 0.3]).note
    assert "fewer than 5 runs" in aso([0.5, 0.6], [0.4, 0.3]).note


def test_equal_systems_are_seldom_told_apart_and_clear_differences_mostly():
    random = np.random.default_rng(0)
    wrong = [aso(a, b, resamples=200).epsilon < CLEAR for a, b in random.normal(size=(300, 2, 20))]
    assert np.mean(wrong) < 0.06
    right = [aso(a + 1.5, b, resamples=200).epsilon < CLEAR for a, b in random.normal(size=(50, 2, 20))]
    assert np.mean(right) > 0.9


def test_it_is_the_same_for_one_seed():
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, 8))
    assert aso(a, b, seed=3) == aso(a, b, seed=3)
    assert aso(a, b, seed=3).epsilon != aso(a, b, seed=4).epsilon
