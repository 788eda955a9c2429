"""The places of a study's table against their baseline: differences, intervals, and the tests that the study names."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from lexigraft.config.errors import ConfigError, did_you_mean, nearest
from lexigraft.runs.folder import RunFolder
from lexigraft.runs.predictions import Predictions, load_predictions
from lexigraft.statistics.aso import CLEAR
from lexigraft.statistics.compare import ON_ITEMS, Runs, compare
from lexigraft.statistics.holm import corrected
from lexigraft.statistics.result import TestResult
from lexigraft.studies.cells import places, wanted
from lexigraft.studies.intervals import summary
from lexigraft.studies.layout import Layout
from lexigraft.studies.metric import Metric
from lexigraft.studies.results import Record
from lexigraft.studies.study import Compare, Study
from lexigraft.studies.table import Comparison, Place, Tested

MARKS = "*†‡§¶#"  # of the tests of a study, in its order
NAMES = {
    "paired_bootstrap": "paired bootstrap", "approximate_randomisation": "approximate randomisation",
    "mcnemar": "McNemar's test", "welch": "Welch's t test", "wilcoxon": "Wilcoxon's signed-rank test",
    "aso": "almost stochastic order",
}  # fmt: skip

At = tuple[Place, Place]


@dataclass(frozen=True)
class Compared:
    """All comparisons of a table, what their marks mean, and what is to be known of them."""

    comparisons: tuple[Comparison, ...] = ()
    legend: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def comparisons(study: Study, where: Layout, metrics: Sequence[Metric]) -> Compared:
    """Each place and metric against the place that differs in the baseline's axes alone; none without `compare`.

    p values are corrected over all comparisons of the table, for each test by itself. `ConfigError` for a baseline
    that is not one label of axes of the table.
    """
    if study.compare is None:
        return Compared()
    baseline = _baseline(study, study.compare, where)
    found: list[tuple[Comparison, list[TestResult]]] = []
    without = 0
    wanted_metrics = [of for of in metrics if of.higher_is_better is not None and of.unit != "s"]  # what tests know of
    for at, against in _pairs(where, baseline):
        for metric in wanted_metrics:
            ours, theirs = (_with_value(where.records.get(each, ()), metric.name) for each in (at, against))
            if ours and theirs:
                found.append(_compared(study.compare, where, at, against, metric, ours, theirs))
            else:
                without += 1
    tests = study.compare.tests
    results = [result for _, of in found for result in of]
    if study.compare.correction == "holm":
        results = corrected(results)
    count = len(tests)
    judged = [
        _judged(comparison, results[i * count : (i + 1) * count], study.compare)
        for i, (comparison, _) in enumerate(found)
    ]
    notes = [f"{without} comparisons were not made, as a side of them has no result"] if without else []
    return Compared(tuple(judged), _legend(study.compare, baseline, judged), (*notes, *_remarks(judged)))


def _baseline(study: Study, compare: Compare, where: Layout) -> dict[str, str]:
    """The label of each of its axes."""
    axes = (*where.row_axes, *where.column_axes)
    found = {}
    for axis, value in compare.baseline.items():
        labels = wanted(value)
        if axis in where.averaged:
            raise ConfigError(f"compare.baseline: runs are averaged over '{axis}'; name an axis of rows or columns")
        if axis not in axes:
            hint = did_you_mean(*nearest(axis, axes)) or f"; it has {', '.join(axes)}"
            raise ConfigError(f"compare.baseline: the study has no axis '{axis}'{hint}")
        if len(labels) != 1:
            raise ConfigError(f"compare.baseline: {axis} is {value}, but one label is expected")
        known = dict.fromkeys(places(axis, study.axes.get(axis, [])))
        known |= {record.labels[axis]: None for records in where.records.values() for record in records}
        if labels[0] not in known:
            hint = did_you_mean(*nearest(labels[0], known)) or f"; it has {', '.join(known)}"
            raise ConfigError(f"compare.baseline: axis '{axis}' has no '{labels[0]}'{hint}")
        found[axis] = labels[0]
    if not found:
        raise ConfigError("compare.baseline names no axis; write for example {transplant: random}")
    return found


def _pairs(where: Layout, baseline: Mapping[str, str]) -> Iterator[tuple[At, At]]:
    """Each place and its baseline, which may have no records."""
    for at in ((row, column) for row in where.rows for column in where.columns):
        if at in where.records:
            row = tuple(baseline.get(axis, label) for axis, label in zip(where.row_axes, at[0]))
            column = tuple(baseline.get(axis, label) for axis, label in zip(where.column_axes, at[1]))
            if (row, column) != at:
                yield at, (row, column)


def _with_value(records: Sequence[Record], name: str) -> list[Record]:
    return [record for record in records if record.values[name] is not None]


def _compared(
    compare_: Compare, where: Layout, at: At, against: At, metric: Metric, ours: list[Record], theirs: list[Record]
) -> tuple[Comparison, list[TestResult]]:
    """A comparison without its tests, and what they say before correction."""
    sides = [{_name(where, record): record for record in records} for records in (ours, theirs)]
    scores = [
        {name: value for name, of in side.items() if (value := of.values[metric.name]) is not None} for side in sides
    ]
    both = [name for name in scores[0] if name in scores[1]]
    low = high = None
    if both:
        of = summary([scores[0][n] - scores[1][n] for n in both], ours, metric.name, where.averaged)
        difference = of.mean
        if of.count > 1:
            low, high = of.low, of.high
    else:
        difference = sum(scores[0].values()) / len(scores[0]) - sum(scores[1].values()) / len(scores[1])
    split, _, key = metric.name.rpartition("/")
    on_items = any(test in ON_ITEMS for test in compare_.tests)
    runs = [Runs(values, _predictions(side, split) if on_items else {}) for side, values in zip(sides, scores)]
    results = compare(runs[0], runs[1], compare_.tests, metric=key, alpha=compare_.alpha)
    return Comparison(*at, metric.name, against, len(both), difference, low, high), results


def _name(where: Layout, record: Record) -> str:
    """What a run and its partner have in common: "seed=0, data.fold=1"."""
    return ", ".join(f"{axis}={label}" for axis, label in zip(where.averaged, where.pairing(record)))


def _predictions(side: Mapping[str, Record], split: str) -> dict[str, Predictions]:
    """Of the runs that kept them; tests say themselves what they lack."""
    found = {}
    for name, record in side.items():
        try:
            path = RunFolder(record.run.folder).predictions / f"{split.replace('/', '_')}.parquet"
            found[name] = _loaded(path, path.stat().st_mtime_ns)
        except (OSError, ValueError):
            continue
    return found


@lru_cache(maxsize=64)
def _loaded(path: Path, changed: int) -> Predictions:
    return load_predictions(path)


def _judged(comparison: Comparison, results: Sequence[TestResult], compare: Compare) -> Comparison:
    tests = tuple(_tested(result, compare) for result in results)
    marks = "".join(mark for mark, test in zip(MARKS, tests) if test.significant)
    return replace(comparison, tests=tests, marks=marks)


def _tested(result: TestResult, compare: Compare) -> Tested:
    p = result.p if result.adjusted_p is None else result.adjusted_p
    found = result.epsilon < CLEAR if result.epsilon is not None else p is not None and p < compare.alpha
    return Tested(result.name, result.p, p, found, result.epsilon, result.note or None)


def _legend(compare: Compare, baseline: Mapping[str, str], comparisons: Sequence[Comparison]) -> dict[str, str]:
    name = ", ".join(f"{axis}={label}" for axis, label in baseline.items())
    found = {}
    for i, (mark, test) in enumerate(zip(MARKS, compare.tests)):
        if test == "aso":
            found[mark] = f"better than {name} by {NAMES[test]}, epsilon < {CLEAR:g}"
            continue
        family = sum(each.tests[i].p is not None for each in comparisons)
        holm = (
            f" after Holm's correction over {family} comparisons" if compare.correction == "holm" else ", uncorrected"
        )
        found[mark] = f"differs from {name} by {NAMES[test]}, p < {compare.alpha:g}{holm}"
    return found


def _remarks(comparisons: Sequence[Comparison]) -> list[str]:
    """What tests say of themselves, each sentence once; almost stochastic order's are of single comparisons."""
    said = Counter(
        (test.name, test.why) for each in comparisons for test in each.tests if test.why and test.statistic is None
    )
    found = []
    for (name, why), count in said.items():
        told = why.removeprefix(f"{name} was not made: ")
        verb = ":" if told == why else " was not made:"
        found.append(f"{NAMES[name]}{verb} {told.rstrip('.')} ({count} of {len(comparisons)} comparisons)")
    return found
