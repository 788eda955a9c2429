"""The tables of a report's page: results, comparisons and runs. Cells that have more to tell have ids, for hovering."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from lexigraft.report.drawing import axis_label
from lexigraft.report.form import Form, form_of, said
from lexigraft.report.runs import CellRun
from lexigraft.studies.metric import Metric
from lexigraft.studies.table import Comparison, Place, ResultTable, Tested

ERROR = "error"
Tips = dict[str, str]  # text by the id of an element


def results_html(table: ResultTable) -> tuple[str, Tips]:
    """The result table; each cell tells its runs, their values, the interval and the comparison."""
    form, tips = form_of(table), Tips()
    body = []
    for at, row in enumerate(form.rows):
        cells = [f"<th scope=row>{escape(label)}</th>" for label in row]
        for column_at, (column, metric) in enumerate(form.columns):
            text = _result(table, row, column, metric)
            if text is None:
                cells.append("<td></td>")
                continue
            of, id = table.cells[row, column, metric.name], f"cell-{at}-{column_at}"
            tips[id] = _tip(table, row, column, metric)
            cells.append(f'<td id="{id}" tabindex=0{_sort_by(of.mean)}>{text}</td>')
        body.append(f"\n<tr>{''.join(cells)}</tr>")
    return _table(_heads(form), body), tips


def comparisons_html(table: ResultTable) -> tuple[str, Tips]:
    """A line per comparison with the baseline; "" without any. Cells tell why a test could not be made."""
    if not table.comparisons:
        return "", {}
    metrics = {metric.name: metric for metric in table.metrics}
    tests = list(dict.fromkeys(test.name for of in table.comparisons for test in of.tests))
    several, tips = len(metrics) > 1, Tips()
    places = [*table.row_axes, *table.column_axes, *(["metric"] if several else []), "baseline"]
    head = [*places, "pairs", "difference", f"{100 * table.level:g} % interval"]
    head += [f"p ({test.replace('_', ' ')})" for test in tests]
    body = []
    for number, of in enumerate(table.comparisons):
        cells = _comparison(of, metrics[of.metric], several)
        known = {test.name: test for test in of.tests}
        for at, name in enumerate(tests):
            id = f"test-{number}-{at}"
            if (test := known.get(name)) and test.why:
                tips[id] = test.why
            cells.append(_test(test, id))
        body.append(f"\n<tr>{''.join(cells)}</tr>")
    return _table([_head_row(head, len(places))], body), tips


def runs_html(runs: Sequence[CellRun], metrics: Sequence[Metric], output: Path) -> str:
    """A line per cell: labels, link to its folder from the folder `output`, state, metrics, seconds, error."""
    axes = list(dict.fromkeys(axis for run in runs for axis in run.labels))
    broken = any(of_cell.run.error for of_cell in runs)
    head = [*axes, "run", "state", *map(axis_label, metrics), "seconds", *([ERROR] if broken else [])]
    body = []
    for of_cell in runs:
        run, finished = of_cell.run, of_cell.finished
        cells = [f"<td>{escape(of_cell.labels.get(axis, ''))}</td>" for axis in axes]
        link = quote(Path(os.path.relpath(run.folder, output)).as_posix())
        name = f'<a href="{link}/">{run.id}</a>' if run.folder.is_dir() else run.id
        cells.append(f"<td><code>{name}</code></td>")
        cells.append(f'<td><span class="state {run.state}">{run.state}</span></td>')
        cells += [_number(run.metrics.get(of.name) if finished else None, of.text) for of in metrics]
        cells.append(_number(run.seconds if finished else None, "{:,.1f}".format))
        if broken:
            first_line, *_ = (run.error or "").strip().split("\n")
            cells.append(f"<td class=long>{escape(first_line)}</td>")
        body.append(f"\n<tr>{''.join(cells)}</tr>")
    return _table([_head_row(head, len(axes) + 2)], body)


def pairs_html(pairs: Mapping[str, str]) -> str:
    """Names and values, a line for each."""
    lines = (f"<tr><th scope=row>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in pairs.items())
    return f"<div class=scroll><table class=pairs><tbody>{''.join(lines)}</tbody></table></div>"


def _result(table: ResultTable, row: Place, column: Place, metric: Metric) -> str | None:
    of = said(table, row, column, metric)
    if of is None:
        return None
    text = f"<strong>{of.mean}</strong>" if of.best else of.mean
    text += f"<span class=spread> ± {of.spread}</span>" if of.spread else ""
    text += f"<sup>{escape(of.marks)}</sup>" if of.marks else ""
    return text + (f"<small class=missing>{escape(of.missing)}</small>" if of.missing else "")


def _tip(table: ResultTable, row: Place, column: Place, metric: Metric) -> str:
    score = table.cells[row, column, metric.name]
    lines = [", ".join([*row, *column, axis_label(metric)])]
    if score.n < score.expected_n:
        lines.append(f"{score.n} of {score.expected_n} runs have finished")
    if score.low is not None:
        interval = f"[{metric.text(score.low)}, {metric.text(score.high)}]"
        lines.append(
            f"{metric.text(score.mean)} ± {metric.text(score.std)}, {100 * table.level:g} % interval {interval}"
        )
    lines += [f"{value}  {run}" for value, run in zip(map(metric.text, score.values), score.runs)]
    comparison = table.comparison(row, column, metric.name)
    if comparison is not None and comparison.difference is not None:
        lines.append(f"to {_name(comparison.against)}: {metric.text(comparison.difference, sign=True)}")
        lines += [
            f"{test.name.replace('_', ' ')}: " + (test.why or f"p = {test.adjusted:.3g}")
            for test in comparison.tests
            if test.why or test.adjusted is not None
        ]
    return "\n".join(lines)


def _comparison(of: Comparison, metric: Metric, several: bool) -> list[str]:
    cells = [f"<td>{escape(label)}</td>" for label in (*of.row, *of.column)]
    cells += [f"<td>{escape(axis_label(metric))}</td>"] if several else []
    cells += [f"<td>{escape(_name(of.against))}</td>", _number(of.pairs, "{:.0f}".format)]
    cells.append(_number(of.difference, lambda value: metric.text(value, sign=True), escape(of.marks)))
    interval = "–" if of.low is None else f"[{metric.text(of.low, sign=True)}, {metric.text(of.high, sign=True)}]"
    return [*cells, f"<td{_sort_by(of.low)}>{interval}</td>"]


def _test(test: Tested | None, id: str) -> str:
    """p, or of almost stochastic order epsilon; a dash that tells why there is none."""
    value = None if test is None else test.statistic if test.adjusted is None else test.adjusted
    if test is None or value is None:
        return f'<td id="{id}" class=number tabindex=0>–</td>' if test and test.why else "<td class=number>–</td>"
    shown = f"{'ε = ' if test.adjusted is None else ''}{value:.2g}"
    return f"<td{_sort_by(value)}>{f'<strong>{shown}</strong>' if test.significant else shown}</td>"


def _name(places: tuple[Place, Place]) -> str:
    return ", ".join(label for place in places for label in place)


def _heads(form: Form) -> list[str]:
    lines = []
    for headings in form.headings[:-1]:
        spanning = (f"<th scope=colgroup colspan={of.span}>{escape(of.text)}</th>" for of in headings)
        blank = f"<td colspan={len(form.stub)}></td>" if form.stub else ""
        lines.append(f"<tr class=spans>{blank}{''.join(spanning)}</tr>")
    last = [of.text for of in form.headings[-1]] if form.headings else ["" for _ in form.columns]
    return [*lines, _head_row([*form.stub, *last], len(form.stub))]


def _head_row(names: Sequence[str], texts: int) -> str:
    """Headings that sort by their column; each is a button, so that keys do too. Those after `texts` are of numbers."""
    cells = (
        f"<th scope=col aria-sort=none{' class=number' if at >= texts and name != ERROR else ''}>"
        f"<button type=button>{escape(name)}</button></th>"
        for at, name in enumerate(names)
    )
    return f"<tr>{''.join(cells)}</tr>"


def _table(head: Iterable[str], body: Iterable[str]) -> str:
    return (
        '<div class=scroll tabindex=0 role=region aria-label="table"><table class=sortable>\n'
        f"<thead>{''.join(head)}</thead>\n<tbody>{''.join(body)}</tbody></table></div>"
    )


def _number(value: float | None, text: Callable[[float], str], marks: str = "") -> str:
    shown = "–" if value is None else text(value)
    return f"<td{_sort_by(value)}>{shown}{f'<sup>{marks}</sup>' if marks else ''}</td>"


def _sort_by(value: float | None) -> str:
    return " class=number" if value is None else f' class=number data-value="{value!r}"'
