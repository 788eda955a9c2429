import numpy as np
import pytest
from scipy import stats

from lexigraft.statistics import paired as module
from lexigraft.statistics.measures import Paired, paired_measure
from lexigraft.statistics.paired import approximate_randomisation, mcnemar, paired_bootstrap
from tests.statistics.said import of_classes

BOTH = pytest.mark.parametrize("test", [paired_bootstrap, approximate_randomisation])


def systems(items: int, runs: int, seed: int, better: float = 0.0, spread: float = 0.0, noise: float = 0.5) -> Paired:
    """Accuracy of two systems: texts of unlike difficulty, `noise` of each run and text, `spread` of whole runs."""
    random = np.random.default_rng(seed)
    gold, ease = random.integers(0, 3, items), random.normal(0.8, 1, items)

    def runs_of(level):
        levels = level + spread * random.normal(size=runs)
        return [of_classes(ease + at + noise * random.normal(size=items) > 0, gold, 3) for at in levels]

    return paired_measure(runs_of(better), runs_of(0.0), "accuracy")


def right(gained: int, lost: int, both: int) -> tuple[np.ndarray, np.ndarray]:
    """Items that only the first, only the second and both have right."""
    return np.repeat([True, False, True], [gained, lost, both]), np.repeat([False, True, True], [gained, lost, both])


@BOTH
def test_p_is_uniform_where_two_systems_are_equal(test):
    random = np.random.default_rng(0)
    measures = random.normal(size=(250, 2, 1, 100, 1))  # of one number of each item, so that no two differences tie
    found = [test(Paired(*each, lambda sums: sums[..., 0]), resamples=200, seed=i).p for i, each in enumerate(measures)]
    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert 0.02 < np.mean(np.array(found) <= 0.05) < 0.09


@BOTH
def test_runs_that_differ_as_a_whole_are_not_taken_for_systems_that_do(test):
    several = np.array([test(systems(200, 6, seed=i, spread=0.15), resamples=150, seed=i).p for i in range(120)])
    assert np.mean(several <= 0.05) < 0.11
    # Of one run each nobody can know.
    single = np.array([test(systems(200, 1, seed=i, spread=0.5), resamples=150, seed=i).p for i in range(60)])
    assert np.mean(single <= 0.05) > 0.3


@BOTH
def test_a_difference_is_found_and_its_interval_holds_it(test):
    of = systems(2000, 3, seed=0, better=0.3)
    found = test(of, resamples=1000)
    a, b = of.scores()
    assert found.difference == pytest.approx(a.mean() - b.mean())
    assert found.p == pytest.approx(1 / 1001)
    assert found.low < found.difference < found.high
    assert found.low > 0
    assert test(of, resamples=1000, alpha=0.5).high < found.high


@BOTH
def test_the_interval_of_one_run_is_as_wide_as_the_differences_of_items_say(test):
    of = systems(1000, 1, seed=3)
    each = (of.a - of.b)[0, :, 0]
    found = test(of, resamples=5000)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * each.std() / np.sqrt(1000), rel=0.06)


@BOTH
def test_it_is_the_same_for_one_seed_and_the_mirror_image_has_the_same_p(test):
    of = systems(300, 2, seed=1, better=0.1)
    assert test(of, resamples=300, seed=5) == test(of, resamples=300, seed=5)
    assert test(of, resamples=300, seed=5).low != test(of, resamples=300, seed=6).low
    turned = test(Paired(of.b, of.a, of.value), resamples=300, seed=5)
    assert turned.difference == -test(of, resamples=300, seed=5).difference
    assert turned.p == pytest.approx(test(of, resamples=300, seed=5).p, abs=0.07)


@BOTH
def test_systems_that_say_the_same_do_not_differ(test):
    of = systems(50, 1, seed=0)
    found = test(Paired(of.a, of.a, of.value), resamples=100)
    assert (found.difference, found.p) == (0.0, 1.0)


@BOTH
def test_the_unit_of_a_metric_does_not_matter(test):
    of = systems(300, 2, seed=1, better=0.02)
    tiny = Paired(of.a, of.b, lambda sums: of.value(sums) * 1e-12)
    assert test(tiny, resamples=300).p == test(of, resamples=300).p > 0.02


@BOTH
def test_folds_count_by_their_runs(test):
    one, other = systems(300, 1, seed=0, better=0.4), systems(200, 2, seed=1, better=0.1)
    differences = [a.mean() - b.mean() for a, b in (one.scores(), other.scores())]
    found = test(one, other, resamples=100)
    assert found.difference == pytest.approx((differences[0] + 2 * differences[1]) / 3)
    with pytest.raises(ValueError, match="no predictions were given"):
        test()


def test_what_few_runs_cannot_say_is_noted():
    assert paired_bootstrap(systems(50, 1, 0), resamples=10).note.startswith("One run of each on the same items")
    assert paired_bootstrap(systems(50, 3, 0), resamples=10).note.startswith("With fewer than 5 runs of each")
    assert paired_bootstrap(systems(50, 5, 0), resamples=10).note == ""


def test_randomisation_of_accuracy_is_the_exact_mcnemar_test():
    a, b = right(9, 3, 88)
    gold = np.zeros(100, int)
    found = approximate_randomisation(
        paired_measure([of_classes(a, gold)], [of_classes(b, gold)], "accuracy"), resamples=20_000
    )
    assert found.p == pytest.approx(stats.binomtest(3, 12).pvalue, abs=0.01)


def test_macro_f1_is_resampled_as_such():
    random = np.random.default_rng(0)
    gold = random.choice(3, 200, p=[0.8, 0.15, 0.05])
    a, b = (of_classes(random.random(200) < share, gold, 3) for share in (0.9, 0.7))
    of = paired_measure([a], [b], "macro_f1")
    found = paired_bootstrap(of, resamples=2000)
    # The same in plain steps.
    drawn = []
    for _ in range(400):
        items = random.integers(0, 200, 200)
        drawn.append(float(of.value(of.a[0, items].sum(0)) - of.value(of.b[0, items].sum(0))))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.03)
    assert found.difference > 0.1
    assert found.p < 0.05


def test_systems_of_other_numbers_of_runs_are_compared():
    of = systems(300, 6, seed=0, better=0.3)
    uneven = Paired(of.a[:2], of.b[:3], of.value)
    a, b = uneven.scores()
    for test in (paired_bootstrap, approximate_randomisation):
        assert test(uneven, resamples=100).difference == pytest.approx(a.mean() - b.mean())


@pytest.mark.parametrize("counts", [[50, 30, 20], [90, 3, 2, 1, 1, 1, 1, 1], [1] * 100])
def test_drawn_counts_are_multinomial(counts, monkeypatch):
    monkeypatch.setattr(module, "_CELLS", 5000)  # several parts
    counts = np.array(counts)
    drawn = np.concatenate(list(module._drawn_counts(counts, 4000, np.random.default_rng(0))))
    assert drawn.shape == (4000, len(counts))
    assert (drawn.sum(1) == 100).all()
    assert drawn.mean(0) == pytest.approx(counts, abs=0.3)
    wanted = np.diag(counts) - np.outer(counts, counts) / 100
    assert np.abs(np.cov(drawn.T) - wanted).max() < 2.5


def test_few_runs_vary_as_much_as_the_mean_of_runs_does():
    random = np.random.default_rng(0)
    scores = np.array([1.0, 2.0, 6.0])
    drawn = (module._drawn_runs(20_000, 3, random) * scores).sum(1)
    assert drawn.mean() == pytest.approx(3.0, abs=0.05)
    assert drawn.var() == pytest.approx(scores.var(ddof=1) / 3, rel=0.05)
    assert module._spread_of_runs(scores, 20_000, random).var() == pytest.approx(scores.var(ddof=1) / 3, rel=0.05)


def test_mcnemar_is_exact_below_25_and_chi_square_above():
    # 25 and 15: (10 - 1)^2 / 40 = 2.025; 1 and 11: 2 (1 + 12) / 2^12.
    assert mcnemar(*([of] for of in right(25, 15, 9960))).p == pytest.approx(stats.chi2.sf(2.025, 1))
    assert mcnemar(*([of] for of in right(11, 1, 9988))).p == pytest.approx(26 / 4096)
    assert mcnemar(*([of] for of in right(0, 0, 10))).p == 1.0
    assert mcnemar(*([of] for of in right(30, 30, 10))).p == 1.0


def test_mcnemars_interval_covers():
    random = np.random.default_rng(0)
    covered = []
    for gained, lost, both in random.multinomial(80, [0.2, 0.1, 0.7], 600):
        found = mcnemar(*([of] for of in right(gained, lost, both)))
        covered.append(found.low <= 0.1 <= found.high)
    assert 0.93 < np.mean(covered) < 0.98


def test_mcnemar_of_several_runs_takes_twice_the_median():
    pairs = [right(12, 3, 85), right(9, 6, 85), right(10, 4, 86)]
    single = [mcnemar([a], [b]).p for a, b in pairs]
    found = mcnemar([a for a, _ in pairs], [b for _, b in pairs])
    assert found.p == pytest.approx(2 * np.median(single))
    assert found.difference == pytest.approx((9 + 3 + 6) / 300)
    assert (found.low, found.note) == (None, "p is twice the median of 3 pairs of runs.")
    with pytest.raises(ValueError, match="was given 1 and 0 runs; as many of both on the same items are expected"):
        mcnemar([pairs[0][0]], [])
