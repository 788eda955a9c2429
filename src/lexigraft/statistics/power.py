"""How many runs it takes to see a difference, by Welch's test."""

import math

import numpy as np
from scipy import optimize, stats

from lexigraft.statistics.summary import Scores, require_scores

MOST = 100_000
_NODES = 40  # of the integral in each direction


def power(runs: int, difference: float, deviations: tuple[float, float], alpha: float = 0.05) -> float:
    """The chance that a true difference is found, with `runs` runs of each system and so large a deviation of each.

    Exact for normally distributed scores, by the integral over what the two sample variances may come out as: with
    the true ones in their place, as in the noncentral t distribution, the power of a few runs would be too high.
    """
    _require(deviations, alpha)
    if runs < 2:
        return 0.0
    places, weights = np.polynomial.legendre.leggauss(_NODES)
    variances = stats.chi2.ppf((places + 1) / 2, runs - 1) / (runs - 1) / runs
    first, second = deviations[0] ** 2 * variances[:, None], deviations[1] ** 2 * variances
    freedom = (first + second) ** 2 * (runs - 1) / (first**2 + second**2)
    limit = stats.t.ppf(1 - alpha / 2, freedom) * np.sqrt(first + second)
    error = math.hypot(*deviations) / math.sqrt(runs)
    found = stats.norm.sf((limit - abs(difference)) / error) + stats.norm.sf((limit + abs(difference)) / error)
    return float(weights @ found @ weights / 4)


def simulated_power(
    runs: int,
    difference: float,
    deviations: tuple[float, float],
    alpha: float = 0.05,
    repeats: int = 10_000,
    seed: int = 0,
) -> float:
    """The same by so many simulated studies with normally distributed scores."""
    _require(deviations, alpha)
    random = np.random.default_rng(seed)
    a = random.normal(difference, deviations[0], (repeats, runs))
    b = random.normal(0.0, deviations[1], (repeats, runs))
    summaries = (of for each in (a, b) for of in (each.mean(1), each.std(1, ddof=1), runs))
    return float((stats.ttest_ind_from_stats(*summaries, equal_var=False).pvalue < alpha).mean())


def runs_needed(
    difference: float, deviations: tuple[float, float], alpha: float = 0.05, wanted: float = 0.8
) -> int | None:
    """Runs of each system with which the difference is found with the `wanted` power; None for more than 100,000."""
    _require(deviations, alpha, wanted)
    enough, few = 2, 1
    while power(enough, difference, deviations, alpha) < wanted:
        enough, few = 2 * enough, enough
        if few > MOST:
            return None
    while enough - few > 1:
        middle = (enough + few) // 2
        if power(middle, difference, deviations, alpha) < wanted:
            few = middle
        else:
            enough = middle
    return enough if enough <= MOST else None


def runs_needed_for(a: Scores, b: Scores, alpha: float = 0.05, wanted: float = 0.8) -> int | None:
    """`runs_needed` to see the difference between these scores again, if it and their deviations are the true ones.

    None where it cannot be told: one run of a system, no spread, or no difference. A difference that was looked at
    because it is large is too large, and the number then too small.
    """
    x, y = require_scores(a), require_scores(b)
    if min(len(x), len(y)) < 2 or (np.ptp(x) == 0 and np.ptp(y) == 0):
        return None
    return runs_needed(float(x.mean() - y.mean()), (float(x.std(ddof=1)), float(y.std(ddof=1))), alpha, wanted)


def detectable_difference(
    runs: int, deviations: tuple[float, float], alpha: float = 0.05, wanted: float = 0.8
) -> float:
    """The least difference that so many runs of each system find with the `wanted` power; infinite for one run."""
    _require(deviations, alpha, wanted)
    if runs < 2:
        return math.inf
    high = max(deviations)
    while power(runs, high, deviations, alpha) < wanted:
        high *= 2
    return float(optimize.brentq(lambda d: power(runs, d, deviations, alpha) - wanted, 0.0, high))


def _require(deviations: tuple[float, float], alpha: float, wanted: float = 0.8) -> None:
    if min(deviations) < 0 or max(deviations) <= 0 or not all(map(math.isfinite, deviations)):
        raise ValueError(f"deviations of {deviations} were given; numbers from 0, not both 0, are expected")
    if not (0 < alpha < 1 and alpha < wanted < 1):
        raise ValueError(f"alpha={alpha} and a power of {wanted} were given; 0 < alpha < power < 1 is expected")
