import numpy as np
import pytest
from scipy import stats

from lexigraft.statistics.ranks import critical_difference, nemenyi

# AUC of decision trees on 14 data sets (Demsar 2006, table 6). Of the last but one, where the table shows
# .975 twice but ranks 2 and 3, the better has a further digit here.
DEMSAR = {
    "C4.5": [.763, .599, .954, .628, .882, .936, .661, .583, .775, 1, .940, .619, .972, .957],
    "C4.5+m": [.768, .591, .971, .661, .888, .931, .668, .583, .838, 1, .962, .666, .981, .978],
    "C4.5+cf": [.771, .590, .968, .654, .886, .916, .609, .563, .866, 1, .965, .614, .9751, .946],
    "C4.5+m+cf": [.798, .569, .967, .657, .898, .931, .685, .625, .875, 1, .962, .669, .975, .970],
}  # fmt: skip


def test_the_published_example():
    found = critical_difference(DEMSAR, alpha=0.05)
    assert list(found.ranks) == ["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]
    assert list(found.ranks.values()) == pytest.approx([1.964, 2.0, 2.893, 3.143], abs=5e-4)
    assert found.cd == pytest.approx(1.25, abs=5e-3)
    assert found.friedman_p == pytest.approx(stats.friedmanchisquare(*DEMSAR.values()).pvalue)
    assert found.data_sets == 14
    # All four lie within 1.25; at 0.1 plain C4.5 is worse than both that tune m.
    assert found.cliques == (tuple(found.ranks),)
    assert critical_difference(DEMSAR, alpha=0.1).cd == pytest.approx(1.12, abs=5e-3)
    assert critical_difference(DEMSAR, alpha=0.1).cliques == (
        ("C4.5+m+cf", "C4.5+m", "C4.5+cf"),
        ("C4.5+cf", "C4.5"),
    )


@pytest.mark.parametrize(("systems", "q"), [(2, 1.960), (3, 2.343), (5, 2.728), (10, 3.164)])
def test_the_published_critical_values(systems, q):
    assert nemenyi(systems, 1) == pytest.approx(q * (systems * (systems + 1) / 6) ** 0.5, rel=3e-4)


def test_pairs_by_wilcoxon_and_holm():
    random = np.random.default_rng(0)
    level = random.normal(size=20)
    scores = {"far": level + 9, "a": level + random.normal(size=20) * 0.1, "b": level + random.normal(size=20) * 0.1}
    found = critical_difference(scores)
    assert found.wilcoxon_cliques == (tuple(name for name in found.ranks if name != "far"),)
    # The two clear pairs come first: 2 * 2^-20 times 3, and the next not below it.
    assert found.p["far", "a"] == pytest.approx(3 * 2**-19)
    assert found.friedman_p < 1e-6
    turned = critical_difference(scores, lower_is_better=True)
    assert list(turned.ranks)[-1] == "far"


def test_equal_scores_share_a_rank_and_nothing_differs():
    found = critical_difference({"a": [1, 1, 1], "b": [1, 1, 1]})
    assert found.ranks == {"a": 1.5, "b": 1.5}
    assert (found.friedman_p, found.p["a", "b"]) == (1.0, 1.0)
    assert found.cliques == found.wilcoxon_cliques == (("a", "b"),)


def test_systems_that_all_differ_are_in_no_clique():
    scores = {name: np.arange(30) + 100.0 * i for i, name in enumerate("abc")}
    assert critical_difference(scores).cliques == ()
    assert critical_difference(scores).wilcoxon_cliques == ()


@pytest.mark.parametrize("scores", [{}, {"a": [1, 2]}, {"a": [1], "b": [2]}, {"a": [1, 2], "b": [1]}])
def test_what_cannot_be_ranked_is_a_sentence(scores):
    with pytest.raises(ValueError, match="average ranks need 2 systems or more with scores on the same 2 data sets"):
        critical_difference(scores)
