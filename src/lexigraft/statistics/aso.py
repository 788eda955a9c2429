"""Almost stochastic order: is one system's score above the other's at almost every quantile?"""

import numpy as np
from scipy import stats

from lexigraft.statistics.result import TestResult
from lexigraft.statistics.summary import Scores, require_scores

CLEAR = 0.2  # Ulmer et al. (2022) advise to claim dominance below it; 0.5 is the least claim that can be made at all


def aso(a: Scores, b: Scores, alpha: float = 0.05, resamples: int = 1000, seed: int = 0) -> TestResult:
    """`epsilon`: an upper bound, at confidence 1 - alpha, of how much is against the first system scoring higher.

    0 means that it scores higher at every quantile, 1 that it scores lower; below 0.5 it scores higher at most of them
    (del Barrio et al. 2018; Dror et al. 2019). It is `violation(a, b)` and so many standard deviations of what it is of
    scores drawn with replacement. Two equal systems come out below 0.5 more often than alpha, but seldom below `CLEAR`.
    There is no p.
    """
    x, y = require_scores(a), require_scores(b)
    difference = float(x.mean() - y.mean())
    if min(len(x), len(y)) < 2:
        return TestResult("aso", difference, note="Almost stochastic order needs 2 runs or more of each system.")
    random = np.random.default_rng(seed)
    drawn = _violations(np.sort(random.choice(x, (resamples, len(x)))), np.sort(random.choice(y, (resamples, len(y)))))
    epsilon = violation(a, b) + float(stats.norm.ppf(1 - alpha)) * float(drawn.std())
    epsilon = min(1.0, max(0.0, epsilon))
    if epsilon < CLEAR:
        says = "the first system is almost stochastically greater"
    else:
        says = "weak evidence for the first system" if epsilon < 0.5 else "not shown that the first system is greater"
    few = "With fewer than 5 runs of each, resampling them understates the spread." if min(len(x), len(y)) < 5 else ""
    return TestResult("aso", difference, epsilon=epsilon, note=f"epsilon {epsilon:.2f}: {says}.").with_note(few)


def violation(a: Scores, b: Scores) -> float:
    """The share of the squared distance of two samples' quantiles where the first lies below (del Barrio et al. 2018).

    0.5 where both samples are equal.
    """
    return float(_violations(np.sort(require_scores(a))[None], np.sort(require_scores(b))[None])[0])


def _violations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of sorted samples `[R, n]` and `[R, m]`: `[R]`. Quantile functions are steps, so the integrals are sums."""
    n, m = a.shape[1], b.shape[1]
    # In nm-ths, where every step is a whole number.
    ends = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)
    widths = np.diff(ends, prepend=0)
    distance = a[:, (ends - 1) // m] - b[:, (ends - 1) // n]
    squares = widths * distance**2
    whole = squares.sum(1)
    against = (squares * (distance < 0)).sum(1)
    return np.divide(against, whole, out=np.full(len(whole), 0.5), where=whole > 0)
