"""How a result table is laid out, whatever it is written in: headings that span columns, and what a cell says."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from lexigraft.report.drawing import axis_label
from lexigraft.studies.metric import Metric
from lexigraft.studies.table import Place, ResultTable, Score


@dataclass(frozen=True)
class Heading:
    """A label over so many columns; `axis` is what it is a label of, "" for a metric."""

    text: str
    span: int
    axis: str = ""


@dataclass(frozen=True)
class Said:
    """What a cell says: its mean and spread as text, and what is marked there.

    `missing` says why there is less than the study asks for: "2 of 3 runs", "no run yet"; "" where nothing is missing.
    """

    mean: str
    spread: str = ""
    best: bool = False
    marks: str = ""
    missing: str = ""


@dataclass(frozen=True)
class Form:
    """`stub` names the columns of row labels; `headings` are lines of headings over the others, top first."""

    stub: tuple[str, ...]
    headings: tuple[tuple[Heading, ...], ...]
    columns: tuple[tuple[Place, Metric], ...]
    rows: tuple[Place, ...]


def form_of(table: ResultTable) -> Form:
    """A column for each place on the column axes and each metric, in this order.

    A single metric has no heading of its own where the columns have one: `single_metric` tells of it.
    """
    columns = [(place, metric) for place in table.columns for metric in table.metrics]
    lines = []
    for level, axis in enumerate(table.column_axes):
        lines.append(tuple(_spans([(place[: level + 1], place[level]) for place, _ in columns], axis)))
    if not single_metric(table):
        lines.append(tuple(Heading(axis_label(metric), 1) for _, metric in columns))
    return Form(table.row_axes, tuple(lines), tuple(columns), table.rows)


def single_metric(table: ResultTable) -> bool:
    """Whether no column says which metric it holds, so that the caption has to."""
    return len(table.metrics) == 1 and bool(table.column_axes)


def said(table: ResultTable, row: Place, column: Place, metric: Metric) -> Said | None:
    """What a cell says; None for a place that the study leaves out."""
    score = table.cells.get((row, column, metric.name))
    if score is None:
        return None
    comparison = table.comparison(row, column, metric.name)
    marks = comparison.marks if comparison else ""
    missing = _missing(score)
    if score.mean is None:
        return Said("–", missing=missing)
    spread = "" if score.std is None else metric.text(score.std)
    return Said(metric.text(score.mean), spread, score.best, marks, missing)


def caption(table: ResultTable) -> str:
    """Title, metric, what is averaged and what is marked, as sentences."""
    parts = [table.title.rstrip(".")]
    if single_metric(table):
        parts.append(axis_label(table.metrics[0]))
    if any(score.std is not None for score in table.cells.values()):
        parts.append(f"Mean ± standard deviation over {', '.join(table.repeats)}")
    if any(score.best for score in table.cells.values()):
        parts.append(f"Bold: the best of {table.best_of}")
    return ". ".join(part[:1].upper() + part[1:] for part in parts if part) + "."


def legend(table: ResultTable) -> list[str]:
    """`† paired bootstrap, ...`, for the marks that occur; that there are none, where something was tested."""
    seen = "".join(comparison.marks for comparison in table.comparisons)
    tests = [test for comparison in table.comparisons for test in comparison.tests]
    if not seen and any(test.p is not None or test.statistic is not None for test in tests):
        return ["No difference from the baseline is significant"]
    return [f"{mark} {text}" for mark, text in table.legend.items() if mark in seen]


def _missing(score: Score) -> str:
    if score.n >= score.expected_n:
        return ""
    return f"{score.n} of {score.expected_n} runs" if score.n else "no run yet"


def _spans(labels: Sequence[tuple[Place, str]], axis: str) -> list[Heading]:
    return [Heading(key[1], len(list(group)), axis) for key, group in groupby(labels)]
