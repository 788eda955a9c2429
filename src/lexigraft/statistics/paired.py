"""Tests of two systems on the same items: is one better than the other on texts like these?

Every test takes one `Paired` or more, one for each set of items: the runs of several seeds on one test set are one,
those on other folds are others, independent of them. The difference is the mean over all runs of each set, weighted
by their number.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import stats

from lexigraft.statistics.measures import Paired
from lexigraft.statistics.result import TestResult

FEW = 5  # runs; of fewer, where runs differ much, both tests over items say "different" too often

_COMMON = 4  # items of one kind from which it is quicker to draw their number than each of them
_CELLS = 1 << 17  # numbers held at once, few enough to stay in the cache
_TIE = 1e-9  # of the largest difference: what is nearer came apart by rounding


def paired_bootstrap(*sets: Paired, resamples: int = 10_000, alpha: float = 0.05, seed: int = 0) -> TestResult:
    """Items are drawn with replacement, the same ones for both systems (Koehn 2004).

    p is the share of resamples whose difference lies farther from the observed one than that does from 0 (Berg-
    Kirkpatrick et al. 2012), one added to both counts; the interval is the percentiles'. Of several runs, runs are
    drawn too, for each system by itself (the multi-bootstrap of Sellam et al. 2022), so that the conclusion is about
    further runs on further items. Of n runs n - 1 are drawn, which makes the variance between few runs come out
    right (Rao & Wu 1988). What is special to a run and an item is counted more than once (Owen 2007), so that p is
    rather too large where runs differ from item to item but hardly in their scores.
    """
    random = np.random.default_rng(seed)
    observed = _observed(sets)
    drawn = _weighted(sets, [np.concatenate(list(_resampled(each, resamples, random))) for each in sets])
    low, high = np.quantile(drawn, [alpha / 2, 1 - alpha / 2])
    p = _share_beyond(drawn - observed, observed)
    return TestResult("paired_bootstrap", observed, float(low), float(high), p, note=_about_runs(sets))


def approximate_randomisation(*sets: Paired, resamples: int = 10_000, alpha: float = 0.05, seed: int = 0) -> TestResult:
    """What the systems said is swapped, for each item or not by the toss of a coin (Noreen 1989, Yeh 2000).

    p is the share of swaps whose difference is as far from 0 as the observed one, one added to both counts; the
    interval holds the differences that such a spread would not reject. Of several runs, an item's are swapped
    together, and how far each run's score lies from its system's mean is added with a random sign, scaled to the
    variance of further runs; without that, the runs would count as the only ones there could be.
    """
    random = np.random.default_rng(seed)
    observed = _observed(sets)
    drawn = _weighted(sets, [np.concatenate(list(_swapped(each, resamples, random))) for each in sets])
    half = float(np.quantile(np.abs(drawn), 1 - alpha))
    p = _share_beyond(drawn, observed)
    return TestResult(
        "approximate_randomisation", observed, observed - half, observed + half, p, note=_about_runs(sets)
    )


def mcnemar(a: Sequence[np.ndarray], b: Sequence[np.ndarray], alpha: float = 0.05) -> TestResult:
    """Of items right or wrong, bool `[N]` of each run: do more change one way than the other (McNemar 1947)?

    Exact (binomial) where fewer than 25 items differ, else chi square with Edwards' correction. The interval is that
    of Agresti & Min (2005). Run i of one system is paired with run i of the other; of several pairs, p is twice the
    median of theirs, which holds whatever their dependence (DiCiccio et al. 2020), and there is no interval.
    `ValueError` for other numbers of runs or of items.
    """
    if len(a) != len(b) or not a or any(len(x) != len(y) for x, y in zip(a, b)):
        raise ValueError(
            f"McNemar's test was given {len(a)} and {len(b)} runs; as many of both on the same items are expected"
        )
    cells = [(int((x & ~y).sum()), int((~x & y).sum()), len(x)) for x, y in zip(a, b)]
    difference = float(np.mean([(gained - lost) / n for gained, lost, n in cells]))
    values = [_mcnemar_p(gained, lost) for gained, lost, _ in cells]
    if len(cells) > 1:
        p = min(1.0, 2 * float(np.median(values)))
        return TestResult("mcnemar", difference, p=p, note=f"p is twice the median of {len(cells)} pairs of runs.")
    gained, lost, n = cells[0]
    centre = (gained - lost) / (n + 2)
    spread = math.sqrt(gained + lost + 1 - (gained - lost) ** 2 / (n + 2)) / (n + 2)
    half = float(stats.norm.ppf(1 - alpha / 2)) * spread
    return TestResult("mcnemar", difference, max(-1.0, centre - half), min(1.0, centre + half), values[0])


def _mcnemar_p(gained: int, lost: int) -> float:
    if gained + lost == 0:
        return 1.0
    if gained + lost < 25:
        return float(stats.binomtest(gained, gained + lost).pvalue)
    return float(stats.chi2.sf(max(0, abs(gained - lost) - 1) ** 2 / (gained + lost), 1))


def _observed(sets: Sequence[Paired]) -> float:
    if not sets:
        raise ValueError("no predictions were given; those of both systems on one test set or more are expected")
    scores = [each.scores() for each in sets]
    return float(_weighted(sets, [np.array([a.mean() - b.mean()]) for a, b in scores])[0])


def _weighted(sets: Sequence[Paired], differences: Sequence[np.ndarray]) -> np.ndarray:
    return np.average(differences, axis=0, weights=[len(each.a) + len(each.b) for each in sets])


def _share_beyond(drawn: np.ndarray, observed: float) -> float:
    beyond = int((np.abs(drawn) >= abs(observed) - _TIE * float(np.abs(drawn).max())).sum())
    return (beyond + 1) / (len(drawn) + 1)


def _resampled(of: Paired, resamples: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Differences `[resamples]` of resampled items and runs, in parts."""
    runs_a, items, width = of.a.shape
    both = np.concatenate([of.a, of.b])
    rows, counts = _distinct(both.transpose(1, 0, 2).reshape(items, -1))
    for weights in _drawn_counts(counts, resamples, random):
        sums = (weights.astype(rows.dtype) @ rows).reshape(len(weights), len(both), width)
        values = of.value(sums.astype(np.float64))
        a = (values[:, :runs_a] * _drawn_runs(len(weights), runs_a, random)).sum(1)
        b = (values[:, runs_a:] * _drawn_runs(len(weights), len(of.b), random)).sum(1)
        yield a - b


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows, the commonest first, and how many there are of each: most items are alike to all runs."""
    rows = np.ascontiguousarray(rows)
    # As bytes, which sort faster than columns do.
    _, first, counts = np.unique(
        rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel(),
        return_index=True,
        return_counts=True,
    )
    order = np.argsort(-counts, kind="stable")
    return rows[first[order]], counts[order]


def _drawn_counts(counts: np.ndarray, resamples: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """How often each kind of item is among as many items drawn with replacement, `[resamples, kinds]`, in parts.

    The kinds that are common by multinomial counts, the others one by one: exact, and far quicker than either alone.
    """
    kinds, items = len(counts), int(counts.sum())
    common = int((counts >= _COMMON).sum())
    rare = np.repeat(np.arange(kinds - common), counts[common:])
    chances = np.append(counts[:common], len(rare)) / items
    step = max(1, _CELLS // kinds)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = random.multinomial(items, chances, size=size)
        if not len(rare):
            yield drawn[:, :-1]
            continue
        ones = rare[random.integers(0, len(rare), int(drawn[:, -1].sum()), np.uint32)]
        ones += np.repeat(np.arange(size) * (kinds - common), drawn[:, -1])
        of_rare = np.bincount(ones, minlength=size * (kinds - common)).reshape(size, -1)
        yield np.concatenate([drawn[:, :-1], of_rare], 1)


def _drawn_runs(size: int, runs: int, random: np.random.Generator) -> np.ndarray:
    """Weights `[size, runs]` of runs drawn with replacement, one fewer than there are."""
    if runs == 1:
        return np.ones((size, 1))
    return random.multinomial(runs - 1, np.full(runs, 1 / runs), size=size) / (runs - 1)


def _swapped(of: Paired, resamples: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Differences `[resamples]` after swaps of items, and signs of runs, in parts."""
    # Each run of one system swaps with one of the other; where their numbers differ, all take part equally often.
    pairs = np.arange(math.lcm(len(of.a), len(of.b)))
    a, b = of.a[pairs % len(of.a)], of.b[pairs % len(of.b)]
    there = (a != b).any((0, 2))  # swapping the others changes nothing
    change = (b - a)[:, there].transpose(1, 0, 2).reshape(int(there.sum()), a.shape[0] * a.shape[2])
    sums_a, sums_b = a.sum(1, dtype=np.float64), b.sum(1, dtype=np.float64)
    scores = of.scores()
    step = max(1, _CELLS // max(1, len(change)))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        coins = random.integers(0, 2, (size, len(change)), np.uint8).astype(change.dtype)
        moved = (coins @ change).reshape(size, *sums_a.shape).astype(np.float64)
        drawn = of.value(sums_a + moved).mean(1) - of.value(sums_b - moved).mean(1)
        for each in scores:
            drawn += _spread_of_runs(each, size, random)
        yield drawn


def _spread_of_runs(scores: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
    """Errors of the mean of runs, `[size]`, of the variance that their scores show."""
    runs = len(scores)
    if runs == 1:
        return np.zeros(size)
    signs = random.integers(0, 2, (size, runs)) * 2 - 1
    return signs @ (scores - scores.mean()) / math.sqrt(runs * (runs - 1))


def _about_runs(sets: Sequence[Paired]) -> str:
    fewest = min(min(len(each.a), len(each.b)) for each in sets)
    if fewest == 1:
        return "One run of each on the same items: how much runs differ is not taken into account."
    if fewest < FEW:
        return f"With fewer than {FEW} runs of each, how much runs differ is known poorly: see what welch says."
    return ""
