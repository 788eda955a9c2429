"""A result table in Markdown, as GitHub shows it."""

import re
from collections.abc import Sequence

from lexigraft.report.drawing import axis_label
from lexigraft.report.form import Said, caption, form_of, legend, said, single_metric
from lexigraft.studies.metric import Metric
from lexigraft.studies.table import Place, ResultTable


def markdown(table: ResultTable) -> str:
    """The table with its caption, legend and notes below it; headings of several axes are joined by commas."""
    form = form_of(table)
    head = [*map(escape, form.stub), *(_heading(table, *column) for column in form.columns)]
    rules = [*("---" for _ in form.stub), *("---:" for _ in form.columns)]
    lines = [_row(head), _row(rules)]
    for row in form.rows:
        cells = (said(table, row, column, metric) for column, metric in form.columns)
        lines.append(_row([*map(escape, row), *map(_cell, cells)]))
    lines += ["", escape(caption(table))]
    for below in (legend(table), table.notes):
        if below:
            lines += ["", *(f"- {escape(text)}" for text in below)]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """A text as it stands, in one line and in one cell."""
    return re.sub(r"([\\`*_{}\[\]<>|~#&])", r"\\\1", " ".join(text.split()))


def _heading(table: ResultTable, place: Place, metric: Metric) -> str:
    return escape(", ".join([*place, *([] if single_metric(table) else [axis_label(metric)])]))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(of: Said | None) -> str:
    if of is None:
        return ""
    text = f"**{of.mean}**" if of.best else of.mean
    if of.spread:
        text += f" ± {of.spread}"
    if of.marks:
        text += f" {escape(of.marks)}"
    return text + (f" ({of.missing})" if of.missing else "")
