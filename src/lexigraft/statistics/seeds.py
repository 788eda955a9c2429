"""Tests of the scores of two systems over several runs: would other seeds, or other folds, say the same?"""

import math

import numpy as np
from scipy import stats

from lexigraft.statistics.result import TestResult
from lexigraft.statistics.summary import Scores, corrected_error, require_scores


def welch(a: Scores, b: Scores, alpha: float = 0.05) -> TestResult:
    """Welch's t test (1947): independent runs, of variances that may differ, as many of each as there are.

    Without p where a system has one run, or where all runs of each score the same.
    """
    x, y = require_scores(a), require_scores(b)
    difference = float(x.mean() - y.mean())
    if min(len(x), len(y)) < 2:
        return TestResult("welch", difference, note="Welch's test needs 2 runs or more of each system.")
    if np.ptp(x) == 0 and np.ptp(y) == 0:
        note = "All runs of a system score the same, so that there is no spread to measure the difference by."
        return TestResult("welch", difference, note=note)
    found = stats.ttest_ind(x, y, equal_var=False)
    low, high = found.confidence_interval(1 - alpha)
    return TestResult("welch", difference, float(low), float(high), float(found.pvalue))


def wilcoxon(a: Scores, b: Scores, alpha: float = 0.05) -> TestResult:
    """Wilcoxon's signed-rank test (1945) of runs paired by seed or fold, exact also where differences are equal.

    Differences of 0 are left out. The interval is that of the median of all means of two differences (Hodges &
    Lehmann 1963); None where there are too few pairs for one. `note` says when they are too few for any p below
    `alpha`. `ValueError` for other numbers of runs.
    """
    x, y = require_scores(a), require_scores(b)
    if len(x) != len(y):
        raise ValueError(f"Wilcoxon's test pairs runs, but was given {len(x)} and {len(y)} of them")
    differences = x - y
    # What is left of equal scores after rounding is no difference.
    scale = max(float(np.abs(x).max()), float(np.abs(y).max())) or 1.0
    steps = np.round(differences / scale, 12)
    moved = steps[steps != 0]
    n = len(moved)
    twice = np.rint(2 * stats.rankdata(np.abs(moved))).astype(int)  # ranks of ties are halves
    chances = _signed_rank_chances(twice)
    sum_ = int(twice[moved > 0].sum())
    p = min(1.0, 2 * float(min(chances[: sum_ + 1].sum(), chances[sum_:].sum())))
    low, high = _median_interval(differences, alpha)
    least, note = 2.0 ** (1 - n), ""
    if least > alpha:
        needed = 1 + math.ceil(math.log2(1 / alpha))
        note = (
            f"With {n} pairs that differ, p cannot be below {min(1.0, least):.3g}, whatever the scores: "
            f"{needed} are needed for {alpha:g}."
        )
    return TestResult("wilcoxon", float(differences.mean()), low, high, p, note=note)


def corrected_t(a: Scores, b: Scores, train: float, test: float, alpha: float = 0.05) -> TestResult:
    """The paired t test of runs on the same folds or random splits, whose training sets overlap.

    `train` and `test` are the texts in each; the variance is that of `summary.summarise_folds` (Nadeau & Bengio 2003).
    """
    x, y = require_scores(a), require_scores(b)
    if len(x) != len(y):
        raise ValueError(f"the paired t test pairs runs, but was given {len(x)} and {len(y)} of them")
    differences = x - y
    difference = float(differences.mean())
    if len(x) < 2 or np.ptp(differences) == 0:
        return TestResult("corrected_t", difference, note="The paired t test needs 2 or more differences that vary.")
    error = corrected_error(float(differences.std(ddof=1)), len(x), train, test)
    half = float(stats.t.ppf(1 - alpha / 2, len(x) - 1)) * error
    p = 2 * float(stats.t.sf(abs(difference) / error, len(x) - 1))
    return TestResult("corrected_t", difference, difference - half, difference + half, p)


def cohens_d(a: Scores, b: Scores) -> float:
    """The difference of means in pooled standard deviations (Cohen 1988); NaN where there is no spread to divide by."""
    x, y = require_scores(a), require_scores(b)
    if len(x) + len(y) < 3:
        return math.nan
    squares = ((x - x.mean()) ** 2).sum() + ((y - y.mean()) ** 2).sum()
    pooled = math.sqrt(squares / (len(x) + len(y) - 2))
    return float((x.mean() - y.mean()) / pooled) if pooled else math.nan


def a12(a: Scores, b: Scores) -> float:
    """The chance that a run of the first system scores above one of the second, ties half (Vargha & Delaney 2000)."""
    above = require_scores(a)[:, None] - require_scores(b)
    return float(((above > 0) + 0.5 * (above == 0)).mean())


def _signed_rank_chances(ranks: np.ndarray) -> np.ndarray:
    """The chance of each sum of ranks (whole numbers) when every one is counted or not by the toss of a coin."""
    chances = np.zeros(int(ranks.sum()) + 1)
    chances[0] = 1.0
    for rank in ranks.tolist():
        chances[rank:] = (chances[rank:] + chances[: len(chances) - rank]) / 2
        chances[:rank] /= 2
    return chances


def _median_interval(differences: np.ndarray, alpha: float) -> tuple[float | None, float | None]:
    n = len(differences)
    below = np.cumsum(_signed_rank_chances(np.arange(1, n + 1)))
    left_out = int((below <= alpha / 2).sum())
    if not left_out:
        return None, None
    i, j = np.triu_indices(n)
    means = np.sort((differences[i] + differences[j]) / 2)
    return float(means[left_out - 1]), float(means[-left_out])
