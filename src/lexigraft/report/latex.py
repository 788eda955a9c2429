r"""A result table in LaTeX: booktabs rules, headings with \multicolumn, the best in bold, marks as superscripts."""

import re

from lexigraft.report.form import Heading, Said, caption, form_of, legend, said
from lexigraft.studies.table import ResultTable

SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "±": r"$\pm$", "–": "--", "−": "$-$", "…": r"\dots{}", "²": "$^2$",
    "†": r"$\dagger$", "‡": r"$\ddagger$", "§": r"\S{}", "¶": r"\P{}", "×": r"$\times$", "≤": r"$\leq$",
    "≥": r"$\geq$", "ε": r"$\varepsilon$", "\n": " ", "[": "{[}", "]": "{]}", "*": r"\textasteriskcentered{}",
}  # fmt: skip
MARKS = {"*": "*", "†": r"\dagger", "‡": r"\ddagger", "§": r"\S", "¶": r"\P", "#": r"\#"}
BEYOND_LATIN = re.compile("[\u0370-\u03ff\u0400-\u1fff\u2e80-\U0003ffff]")


def latex(table: ResultTable, label: str) -> str:
    """A `table` environment to be \\input; its first lines say in a comment which packages it needs.

    `label` follows `tab:` and is written as it is.
    """
    form = form_of(table)
    stub = len(form.stub)
    lines = [f"\\begin{{tabular}}{{{'l' * stub}{'r' * len(form.columns)}}}", r"\toprule"]
    for level, headings in enumerate(form.headings):
        last = level == len(form.headings) - 1
        lines.append(_row([*(escape(axis) if last else "" for axis in form.stub), *map(_heading, headings)]))
        if not last:
            lines.append(_rules(headings, stub))
    if not form.headings:
        lines.append(_row([*map(escape, form.stub), *("" for _ in form.columns)]))
    lines.append(r"\midrule")
    before: tuple[str, ...] = ()
    for row in form.rows:
        labels = ["" if row[: i + 1] == before[: i + 1] and i < stub - 1 else name for i, name in enumerate(row)]
        cells = (said(table, row, column, metric) for column, metric in form.columns)
        lines.append(_row([*map(escape, labels), *map(_cell, cells)]))
        before = row
    lines += [r"\bottomrule", r"\end{tabular}"]
    text = " ".join([caption(table), *(f"{each.rstrip('.')}." for each in (*legend(table), *table.notes))])
    body = [
        r"\begin{table}", r"\centering", f"\\caption{{{escape(text)}}}", f"\\label{{tab:{label}}}", *lines,
        r"\end{table}",
    ]  # fmt: skip
    needs = [r"% needs \usepackage{booktabs}"]
    if BEYOND_LATIN.search("\n".join(body)):
        needs.append(r"% and, for other scripts than Latin, XeLaTeX or LuaLaTeX with \usepackage{ctex}")
    return "\n".join([*needs, *body]) + "\n"


def escape(text: str) -> str:
    """A text of ours as LaTeX shows it."""
    return "".join(SPECIAL.get(letter, letter) for letter in text)


def _row(cells: list[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _heading(heading: Heading) -> str:
    return f"\\multicolumn{{{heading.span}}}{{c}}{{{escape(heading.text)}}}"


def _rules(headings: tuple[Heading, ...], stub: int) -> str:
    """A rule below each heading, cut at its sides."""
    rules, first = [], stub + 1
    for heading in headings:
        rules.append(f"\\cmidrule(lr){{{first}-{first + heading.span - 1}}}")
        first += heading.span
    return "".join(rules)


def _cell(of: Said | None) -> str:
    if of is None:
        return ""
    text = f"\\textbf{{{escape(of.mean)}}}" if of.best else escape(of.mean)
    if of.spread:
        text += f" $\\pm$ {escape(of.spread)}"
    if of.marks:
        text += f"$^{{{''.join(MARKS.get(mark, mark) for mark in of.marks)}}}$"
    return text + (f" \\emph{{({escape(of.missing)})}}" if of.missing else "")
