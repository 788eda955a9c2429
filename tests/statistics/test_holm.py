import pytest

from lexigraft.statistics.holm import corrected, holm
from lexigraft.statistics.result import TestResult as Result


def test_an_example_by_hand():
    # Sorted 0.005 x4, 0.01 x3, 0.03 x2, 0.04 x1, none below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_none_is_above_1_and_none_stays_none():
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([0.2]) == [0.2]


def test_a_number_that_is_no_p_value_is_named():
    with pytest.raises(ValueError, match=r"1.5 was given as a p value; numbers from 0 to 1 are expected"):
        holm([0.5, 1.5])
    with pytest.raises(ValueError, match="nan was given as a p value"):
        holm([float("nan")])


def test_each_test_is_a_family_and_results_without_p_are_in_none():
    results = [
        Result("welch", 0.1, p=0.02),
        Result("aso", 0.1, epsilon=0.1),
        Result("welch", 0.2, p=0.03),
        Result("mcnemar", 0.2, p=0.04),
    ]
    found = corrected(results)
    assert [r.name for r in found] == ["welch", "aso", "welch", "mcnemar"]
    assert [r.adjusted_p for r in found] == [pytest.approx(0.04), None, pytest.approx(0.04), 0.04]
    assert found[0].p == 0.02


def test_the_chance_of_any_false_rejection_is_alpha():
    import numpy as np

    random = np.random.default_rng(0)
    rejected = [min(holm(random.random(5).tolist())) <= 0.05 for _ in range(2000)]
    assert 0.035 < np.mean(rejected) < 0.065
