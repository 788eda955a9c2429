"""Stratified folds and shares: every side has the same mixture of labels, and equal texts stay together."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

import numpy as np

BINS = 10  # strata of a number: as many of equal size


def stratified_folds(
    texts: Sequence[str], strata: Sequence[Hashable], places: Sequence[float], folds: int
) -> np.ndarray:
    """The fold, 0 to `folds` - 1, of each of N rows, int64 `[N]`; rows of equal text are in the same.

    Distinct texts are dealt out stratum by stratum, those that stand there most often first and then in the order of
    their `places`, each to the fold that has the fewest rows of its stratum, then the fewest rows. Without repeated
    texts, the folds' sizes differ by at most one in each stratum. A text of several strata counts to its most frequent
    one. The order of the rows does not matter.
    """
    in_fold = np.zeros(folds, np.int64)
    fold_of: dict[str, int] = {}
    for members in _by_stratum(texts, strata, places):
        here = np.zeros(folds, np.int64)
        for rows, _, text in sorted(members, key=lambda member: (-member[0], *member[1:])):
            chosen = int(np.lexsort((in_fold, here))[0])
            here[chosen] += rows
            in_fold[chosen] += rows
            fold_of[text] = chosen
    return np.array([fold_of[text] for text in texts], np.int64)


def stratified_share(
    texts: Sequence[str], strata: Sequence[Hashable], places: Sequence[float], share: float
) -> np.ndarray:
    """Which of N rows are among that share of every stratum, bool `[N]`; rows of equal text go together.

    Of each stratum, distinct texts are taken in the order of their `places` while that brings their rows nearer to the
    share; sizes are right to half a row without repeated texts.
    """
    chosen = set[str]()
    for members in _by_stratum(texts, strata, places):
        wanted, taken = share * sum(rows for rows, _, _ in members), 0
        for rows, _, text in sorted(members, key=lambda member: member[1:]):
            if abs(taken + rows - wanted) < abs(taken - wanted):
                chosen.add(text)
                taken += rows
    return np.array([text in chosen for text in texts], bool)


def strata_of_numbers(numbers: Sequence[float], bins: int = BINS) -> list[int]:
    """The bin of each number, of `bins` that hold equally many; equal numbers share one."""
    ranks = np.searchsorted(np.sort(np.asarray(numbers, float)), np.asarray(numbers, float), "left")
    return (ranks * bins // max(1, len(numbers))).tolist()


def _by_stratum(
    texts: Sequence[str], strata: Sequence[Hashable], places: Sequence[float]
) -> list[list[tuple[int, float, str]]]:
    """(rows, place, text) of each distinct text, in one list for each stratum."""
    strata_of: dict[str, Counter[Hashable]] = defaultdict(Counter)
    place_of: dict[str, float] = {}
    for text, stratum, place in zip(texts, strata, places, strict=True):
        strata_of[text][stratum] += 1
        place_of[text] = place
    lists: dict[Hashable, list[tuple[int, float, str]]] = defaultdict(list)
    for text, counts in strata_of.items():
        # Not most_common, which among equals takes that whose row stands first.
        main = min(counts, key=lambda stratum: (-counts[stratum], str(stratum)))
        lists[main].append((counts.total(), place_of[text], text))
    return [lists[stratum] for stratum in sorted(lists, key=str)]
