import math

import pytest

from lexigraft.statistics.power import detectable_difference, power, runs_needed, runs_needed_for, simulated_power


@pytest.mark.parametrize(("effect", "runs"), [(0.2, 394), (0.5, 64), (0.8, 26)])
def test_cohens_table(effect, runs):
    # Cohen 1988: small, medium and large effects at power 0.8 and alpha 0.05, two-sided.
    assert runs_needed(effect, (1.0, 1.0)) == runs
    assert power(runs, effect, (1.0, 1.0)) >= 0.8 > power(runs - 1, effect, (1.0, 1.0))


@pytest.mark.parametrize("runs", [3, 5, 12])
@pytest.mark.parametrize("deviations", [(1.0, 1.0), (0.5, 1.5)])
def test_a_simulation_agrees(runs, deviations):
    assert power(runs, 1.5, deviations) == pytest.approx(simulated_power(runs, 1.5, deviations), abs=0.03)


def test_the_least_difference_is_the_one_that_needs_so_many_runs():
    least = detectable_difference(5, (0.01, 0.02))
    assert power(5, least, (0.01, 0.02)) == pytest.approx(0.8, abs=1e-6)
    assert runs_needed(least * 1.0001, (0.01, 0.02)) == 5
    assert detectable_difference(1, (0.01, 0.02)) == math.inf
    assert detectable_difference(5, (0.01, 0.01), alpha=0.01) > detectable_difference(5, (0.01, 0.01))


def test_large_and_no_differences():
    assert runs_needed(1e6, (1.0, 1.0)) == 2
    assert runs_needed(0.0, (1.0, 1.0)) is None
    assert power(1, 5.0, (1.0, 1.0)) == 0.0
    assert power(50, 1e4, (1.0, 1.0)) == 1.0
    assert power(4, 3.0, (0.0, 1.0)) == pytest.approx(simulated_power(4, 3.0, (0.0, 1.0)), abs=0.03)


def test_of_scores():
    a, b = [0.84, 0.86, 0.88], [0.83, 0.85, 0.87]
    assert runs_needed_for(a, b) == runs_needed(0.01, (0.02, 0.02))
    assert runs_needed_for([0.5], b) is None
    assert runs_needed_for([0.5, 0.5], [0.4, 0.4]) is None


def test_what_cannot_be_is_a_sentence():
    with pytest.raises(ValueError, match=r"deviations of \(0.0, 0.0\) were given"):
        power(3, 1.0, (0.0, 0.0))
    with pytest.raises(ValueError, match="alpha=0.9 and a power of 0.8 were given; 0 < alpha < power < 1 is expected"):
        runs_needed(1.0, (1.0, 1.0), alpha=0.9)
