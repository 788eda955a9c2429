"""A study's records as its result table: means over repeats, intervals, the best of each row, comparisons."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from lexigraft.studies.comparing import comparisons
from lexigraft.studies.intervals import FOLDS, LEVEL, summary
from lexigraft.studies.layout import Layout, layout
from lexigraft.studies.metric import Metric, metric
from lexigraft.studies.results import Record, Results
from lexigraft.studies.status import STATES
from lexigraft.studies.study import Study
from lexigraft.studies.table import Place, ResultTable, Score

Scores = dict[tuple[Place, Place, str], Score]


def result_table(study: Study, results: Results) -> ResultTable:
    """The table that `study.yaml` asks for; its order and numbers depend on the cells and their results alone.

    `ConfigError` where `table` or `compare` names what the study does not have.
    """
    where = layout(study, results)
    metrics = tuple(metric(name) for name in results.metrics)
    scores: Scores = {
        (*at, of.name): score(records, of.name, where.averaged)
        for at, records in where.records.items()
        for of in metrics
    }
    groups, best_of = _rivals(study, where)
    for of in metrics:
        for group in groups:
            for at in _best([(*at, of.name) for at in group], scores, of):
                scores[at] = replace(scores[at], best=True)
    compared = comparisons(study, where, metrics)
    return ResultTable(
        title=study.title or study.name,
        metrics=metrics,
        row_axes=where.row_axes,
        column_axes=where.column_axes,
        rows=where.rows,
        columns=where.columns,
        cells=scores,
        comparisons=compared.comparisons,
        legend=compared.legend,
        notes=(*_notes(study, where, results), *compared.notes, *results.warnings),
        repeats=where.averaged,
        level=LEVEL,
        best_of=best_of,
    )


def score(records: Sequence[Record], name: str, averaged: Sequence[str] = ()) -> Score:
    """A metric over the runs of one place, which are of all labels of the averaged axes."""
    there = [(record.values[name], record) for record in records]
    found = [(value, record) for value, record in there if value is not None]
    if not found:
        return Score(0, len(records))
    values = tuple(value for value, _ in found)
    of = summary(values, [record for _, record in found], name, averaged)
    spread = (of.deviation, of.low, of.high) if of.count > 1 else (None, None, None)
    return Score(of.count, len(records), values, tuple(record.id for _, record in found), of.mean, *spread)


def _rivals(study: Study, where: Layout) -> tuple[list[list[tuple[Place, Place]]], str]:
    """The places among which the best is marked, and what they are called: a method against others, not one data set
    against another.

    They differ in the baseline's axes alone; if nothing is compared in the column axes, or without those in the last
    row axis.
    """
    axes = (*where.row_axes, *where.column_axes)
    rivals = tuple(study.compare.baseline) if study.compare else where.column_axes or where.row_axes[-1:]
    shared = [axis for axis in axes if axis not in rivals]
    groups: dict[Place, list[tuple[Place, Place]]] = defaultdict(list)
    for at in ((row, column) for row in where.rows for column in where.columns):
        if at in where.records:
            groups[tuple(label for axis, label in zip(axes, (*at[0], *at[1])) if axis in shared)].append(at)
    if not shared:
        name = "the table"
    elif where.column_axes and tuple(shared) in (where.row_axes, where.column_axes):
        name = "each row" if tuple(shared) == where.row_axes else "each column"
    else:
        name = f"those of the same {' and '.join(shared)}"
    return list(groups.values()), name


def _best(
    places: Sequence[tuple[Place, Place, str]], scores: Mapping[tuple[Place, Place, str], Score], of: Metric
) -> list[tuple[Place, Place, str]]:
    """Those that show the best mean, if there are others."""
    means = {at: mean for at in places if (mean := scores[at].mean) is not None}
    if of.higher_is_better is None or len(means) < 2:
        return []
    best = of.text((max if of.higher_is_better else min)(means.values()))
    return [at for at, mean in means.items() if of.text(mean) == best]


def _notes(study: Study, where: Layout, results: Results) -> Iterator[str]:
    missing = Counter(record.run.state for record in results.records if not record.finished)
    if missing:
        told = ", ".join(f"{missing[state]} {STATES[state]}" for state in STATES if missing[state])
        yield f"{missing.total()} of {len(results.records)} cells have no result: {told}"
    for name in results.metrics:
        if undefined := sum(record.finished and record.values[name] is None for record in results.records):
            yield f"{undefined} of the finished cells have no {name}"
    for axis in where.averaged:
        if axis not in study.repeats and len(labels := _labels(results, axis)) > 1:
            yield f"means are over {axis} ({', '.join(labels)}) too, which is not among the repeats"
    if any(axis in FOLDS for axis in where.averaged):
        yield "intervals allow for the training texts that folds have in common (Nadeau and Bengio 2003)"
    distinct = len({record.id for record in results.records})
    if distinct < len(results.records):
        yield f"{len(results.records)} cells share {distinct} runs; in a mean, each counts once"


def _labels(results: Results, axis: str) -> list[str]:
    return list(dict.fromkeys(record.labels[axis] for record in results.records))
