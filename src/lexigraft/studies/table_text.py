"""A study's result table for the terminal."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lexigraft.studies.metric import Metric
from lexigraft.studies.table import Place, ResultTable, Score


def table_text(table: ResultTable) -> RenderableType:
    """Means ± standard deviations, the best in bold, with the marks of tests; below, how to read them."""
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=table.title or None, title_justify="left")
    for axis in table.row_axes:
        shown.add_column(Text(axis), overflow="fold")
    for column in table.columns:
        for metric in table.metrics:
            shown.add_column(Text(_heading(table, column, metric)), justify="right", overflow="fold")
    marks = dict.fromkeys((metric.name for metric in table.metrics), 0)
    for comparison in table.comparisons:
        marks[comparison.metric] = max(marks[comparison.metric], len(comparison.marks))
    before: Place = ()
    for row in table.rows:
        labels = [Text("" if row[: i + 1] == before[: i + 1] else label) for i, label in enumerate(row)]
        cells = [_cell(table, row, column, of, marks[of.name]) for column in table.columns for of in table.metrics]
        shown.add_row(*labels, *cells)
        before = row
    return Group(shown, *(Text(line) for line in _below(table)))


def score_text(score: Score, metric: Metric) -> str:
    """Mean ± standard deviation, and "(2 of 3)" where runs are missing."""
    text = metric.text(score.mean)
    if score.std is not None:
        text += f" ± {metric.text(score.std)}"
    return text if score.n == score.expected_n else f"{text} ({score.n} of {score.expected_n})"


def _heading(table: ResultTable, column: Place, metric: Metric) -> str:
    name = metric.label + (f" ({metric.unit})" if metric.unit and metric.unit not in metric.label else "")
    where = ", ".join(column)
    return f"{where}\n{name}" if where and len(table.metrics) > 1 else where or name


def _cell(table: ResultTable, row: Place, column: Place, metric: Metric, width: int) -> Text:
    """With marks in a space of that width, so that numbers stand below one another."""
    score = table.cells.get((row, column, metric.name))
    if score is None:
        return Text()
    text = Text(score_text(score, metric), style="bold" if score.best else "")
    comparison = table.comparison(row, column, metric.name)
    return text.append(f" {comparison.marks if comparison else '':<{width}}") if width else text


def _below(table: ResultTable) -> list[str]:
    metric = table.metrics[0]
    lines = []
    if len(table.metrics) == 1 and table.column_axes:
        lines.append(metric.label + (f" in {metric.unit}" if metric.unit else ""))
    if any(score.std is not None for score in table.cells.values()):
        lines.append(f"mean ± standard deviation over {', '.join(table.repeats)}")
    if any(score.best for score in table.cells.values()):
        lines.append(f"bold: the best of {table.best_of}")
    used = {mark for comparison in table.comparisons for mark in comparison.marks}
    lines += [f"{mark}  {meaning}" for mark, meaning in table.legend.items() if mark in used]
    made = any(test.p is not None or test.statistic is not None for of in table.comparisons for test in of.tests)
    if made and not used:
        lines.append("no difference from the baseline is significant")
    return lines + [f"note: {note}" for note in table.notes]
