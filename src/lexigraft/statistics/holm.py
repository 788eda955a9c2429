"""Correction of p values for the number of hypotheses that were tested."""

from collections.abc import Sequence
from dataclasses import replace

from lexigraft.statistics.result import TestResult


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values, in the order given, which keep the chance of any false rejection at alpha (Holm 1979).

    The i-th smallest of m is multiplied by m - i + 1; none is smaller than that of a smaller p, none above 1.
    `ValueError` for a p outside 0..1.
    """
    if wrong := [p for p in p_values if not 0 <= p <= 1]:
        raise ValueError(f"{wrong[0]} was given as a p value; numbers from 0 to 1 are expected")
    adjusted, before = [0.0] * len(p_values), 0.0
    for done, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        before = max(before, min(1.0, (len(p_values) - done) * p_values[i]))
        adjusted[i] = before
    return adjusted


def corrected(results: Sequence[TestResult]) -> list[TestResult]:
    """The results with `adjusted_p` after Holm, in the order given.

    The results of one test, such as all those of a table, are a family: give all of them at once. Results without p
    are no part of it.
    """
    adjusted: dict[int, float] = {}
    for name in {result.name for result in results}:
        family = [(i, r.p) for i, r in enumerate(results) if r.name == name and r.p is not None]
        adjusted |= zip((i for i, _ in family), holm([p for _, p in family]))
    return [replace(result, adjusted_p=adjusted.get(i)) for i, result in enumerate(results)]
