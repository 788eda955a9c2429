"""The mean of a metric over repeats with the interval of a study's table."""

from collections.abc import Sequence

from lexigraft.statistics.summary import Summary, summarise, summarise_folds
from lexigraft.studies.results import Record

LEVEL = 0.95
# Runs along these axes have training texts in common, and are not independent.
FOLDS = ("data.fold", "data.split_seed")


def summary(values: Sequence[float], records: Sequence[Record], name: str, averaged: Sequence[str]) -> Summary:
    """Of a metric's values, or of differences of them; NaN but for the mean where there is one.

    Student's t interval; where folds are averaged, that of runs whose training texts overlap, by the numbers of texts
    of the first of `records`.
    """
    if any(axis in FOLDS for axis in averaged):
        counts = records[0].run.metrics
        train, test = counts.get("counts/texts/train"), counts.get(f"counts/texts/{name.partition('/')[0]}")
        if train and test:
            return summarise_folds(values, train, test, alpha=1 - LEVEL)
    return summarise(values, alpha=1 - LEVEL)
