"""Several systems on several data sets: average ranks, and which systems cannot be told apart."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from lexigraft.statistics.holm import holm
from lexigraft.statistics.seeds import wilcoxon
from lexigraft.statistics.summary import Scores, require_scores


@dataclass(frozen=True)
class CriticalDifference:
    """What a critical-difference diagram shows.

    `ranks` are the average ranks by system, the best (1) first. `friedman_p` tests whether the systems differ at all;
    where it is not below alpha, no pair should be claimed to. Systems whose ranks lie within `cd` cannot be told apart
    by Nemenyi's test: `cliques` are the largest such groups. `wilcoxon_cliques` are those by Wilcoxon's test of each
    pair with Holm's correction, and `p` its adjusted p values by pair, the better rank first.
    """

    ranks: dict[str, float]
    cd: float
    friedman_p: float
    cliques: tuple[tuple[str, ...], ...]
    wilcoxon_cliques: tuple[tuple[str, ...], ...]
    p: dict[tuple[str, str], float]
    data_sets: int


def critical_difference(
    scores: Mapping[str, Scores], alpha: float = 0.05, lower_is_better: bool = False
) -> CriticalDifference:
    """Of the scores of each system on the same data sets (Demsar 2006; Wilcoxon and Holm: Benavoli et al. 2016).

    Equal scores share their ranks. Friedman's p is corrected for ties; for two systems it is that of the sign test's
    chi square, which is the same formula. `ValueError` for one system, one data set, or other numbers of scores.
    """
    sizes = {len(of) for of in scores.values()}
    if len(scores) < 2 or len(sizes) != 1 or min(sizes) < 2:
        raise ValueError(
            f"average ranks need 2 systems or more with scores on the same 2 data sets or more; {len(scores)} systems "
            f"with {sorted(sizes)} scores were given"
        )
    table = np.stack([require_scores(of) for of in scores.values()], 1)
    ranked = stats.rankdata(table if lower_is_better else -table, axis=1)
    means = dict(zip(scores, ranked.mean(0).tolist()))
    names = sorted(means, key=lambda name: means[name])
    cd = nemenyi(len(names), len(table), alpha)
    pairs = list(combinations(names, 2))
    tested = [wilcoxon(scores[a], scores[b], alpha).p for a, b in pairs]
    p = dict(zip(pairs, holm([1.0 if each is None else each for each in tested])))  # None: all scores are equal
    return CriticalDifference(
        ranks={name: means[name] for name in names},
        cd=cd,
        friedman_p=_friedman(ranked),
        cliques=_cliques(names, lambda a, b: means[b] - means[a] < cd),
        wilcoxon_cliques=_cliques(names, lambda a, b: p[a, b] >= alpha),
        p=p,
        data_sets=len(table),
    )


def nemenyi(systems: int, data_sets: int, alpha: float = 0.05) -> float:
    """The difference of average ranks above which two of so many systems differ (Nemenyi 1963)."""
    q = float(stats.studentized_range.ppf(1 - alpha, systems, math.inf)) / math.sqrt(2)
    return q * math.sqrt(systems * (systems + 1) / (6 * data_sets))


def _friedman(ranked: np.ndarray) -> float:
    """Friedman's chi square (1937) of ranks `[data sets, systems]`, with the correction for ties."""
    data_sets, systems = ranked.shape
    spread = ((ranked - (systems + 1) / 2) ** 2).sum()
    if spread == 0:
        return 1.0
    between = ((ranked.sum(0) - data_sets * (systems + 1) / 2) ** 2).sum()
    return float(stats.chi2.sf((systems - 1) * between / spread, systems - 1))


def _cliques(names: Sequence[str], alike: Callable[[str, str], bool]) -> tuple[tuple[str, ...], ...]:
    """The longest stretches of two systems or more, all pairs of which are alike."""
    found: list[tuple[int, int]] = []
    for start in range(len(names)):
        stop = start + 1
        while stop < len(names) and all(alike(names[i], names[stop]) for i in range(start, stop)):
            stop += 1
        if stop - start > 1 and (not found or stop > found[-1][1]):
            found.append((start, stop))
    return tuple(tuple(names[start:stop]) for start, stop in found)
