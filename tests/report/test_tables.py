"""LaTeX, Markdown and CSV of one table, by their structure; with a LaTeX engine, compiled."""

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from lexigraft.report.latex import BEYOND_LATIN, escape, latex
from lexigraft.report.markdown import markdown
from lexigraft.report.table_csv import table_csv
from lexigraft.studies import table as tables
from lexigraft.studies.metric import metric
from lexigraft.studies.table import Comparison, ResultTable, Score

ACCURACY, LOSS = metric("test/accuracy"), metric("test/loss")
RANDOM, COPIED = ("random",), ("a_b 100% & #1",)
SST, REVIEWS = ("sst2", "cnn"), ("sst2", "rnn")


def score(mean: float | None, n: int = 3, best: bool = False) -> Score:
    if mean is None:
        return Score(0, 3)
    values = tuple(mean + 0.01 * i for i in range(-(n // 2), n - n // 2))
    return Score(n, 3, values, tuple(f"run{i}" for i in range(n)), mean, 0.01 if n > 1 else None, best=best)


def table(**changed) -> ResultTable:
    """Two rows below one data set, two columns, one metric; one place has no run, one two of three."""
    cells = {
        (SST, RANDOM, ACCURACY.name): score(1 / 3),
        (SST, COPIED, ACCURACY.name): score(0.9, best=True),
        (REVIEWS, RANDOM, ACCURACY.name): score(None),
        (REVIEWS, COPIED, ACCURACY.name): score(0.5, n=2),
    }
    tests = (tables.Tested("welch", 0.001, 0.002, True), tables.Tested("aso", None, None, True, statistic=0.01))
    comparison = Comparison(SST, COPIED, ACCURACY.name, (SST, RANDOM), 3, 0.5667, 0.5, 0.6, tests, "*†")
    values = {
        "title": "Rows & more", "metrics": (ACCURACY,), "row_axes": ("data", "model"), "column_axes": ("rows",),
        "rows": (SST, REVIEWS), "columns": (RANDOM, COPIED), "cells": cells, "comparisons": (comparison,),
        "legend": {"*": "by Welch, p < 0.05", "†": "by ASO", "‡": "never"}, "notes": ("3 of 12 cells_x",),
        "repeats": ("seed",), "best_of": "each row",
    }  # fmt: skip
    return ResultTable(**values | changed)


def two_metrics() -> ResultTable:
    cells = {(r, c, m.name): score(0.5) for r in (SST, REVIEWS) for c in (RANDOM, COPIED) for m in (ACCURACY, LOSS)}
    return table(metrics=(ACCURACY, LOSS), cells=cells, comparisons=())


def test_latex_of_one_metric():
    lines = latex(table(), "rows").splitlines()
    assert lines[0] == r"% needs \usepackage{booktabs}"
    assert lines[1] == r"\begin{table}"  # nothing but Latin: no other package
    assert r"\label{tab:rows}" in lines
    assert r"data & model & \multicolumn{1}{c}{random} & \multicolumn{1}{c}{a\_b 100\% \& \#1} \\" in lines
    assert r"sst2 & cnn & 33.3 $\pm$ 1.0 & \textbf{90.0} $\pm$ 1.0$^{*\dagger}$ \\" in lines
    # A row label that stays the same is not repeated; cells say what they lack.
    assert r" & rnn & -- \emph{(no run yet)} & 50.0 $\pm$ 1.0 \emph{(2 of 3 runs)} \\" in lines
    (caption,) = (line for line in lines if line.startswith(r"\caption"))
    assert caption == (
        r"\caption{Rows \& more. Accuracy (\%). Mean $\pm$ standard deviation over seed. Bold: the best of each row. "
        r"\textasteriskcentered{} by Welch, p \textless{} 0.05. $\dagger$ by ASO. 3 of 12 cells\_x.}"
    )


@pytest.mark.parametrize(
    "of", [table(), two_metrics(), table(column_axes=(), columns=((),), cells={})], ids=["one", "two", "bare"]
)
def test_latex_is_balanced_and_has_as_many_columns_as_it_says(of):
    text = latex(of, "x")
    plain = re.sub(r"\\[\\{}&%]", lambda found: "\n" if found[0] == r"\\" else "", text)
    assert plain.count("{") == plain.count("}") > 0
    assert re.findall(r"\\begin\{(\w+)\}", text) == ["table", "tabular"]
    assert re.findall(r"\\end\{(\w+)\}", text) == ["tabular", "table"]
    (columns,) = re.findall(r"\\begin\{tabular\}\{(l*r*)\}", text)
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) > 2
    for row in rows:
        spans = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", row))
        assert len(re.findall(r"(?<!\\)&", row)) + 1 + spans == len(columns)
    for first, last in re.findall(r"\\cmidrule\(lr\)\{(\d+)-(\d+)\}", text):
        assert 1 < int(first) <= int(last) <= len(columns)


def test_latex_headings_span_the_metrics():
    text = latex(two_metrics(), "x")
    assert r" &  & \multicolumn{2}{c}{random} & \multicolumn{2}{c}{a\_b 100\% \& \#1} \\" in text
    assert r"\cmidrule(lr){3-4}\cmidrule(lr){5-6}" in text


def test_latex_escapes_what_is_special_and_keeps_chinese():
    assert escape(r"50%_#&$\{}~^") == r"50\%\_\#\&\$\textbackslash{}\{\}\textasciitilde{}\textasciicircum{}"
    text = latex(table(title="移植"), "x")
    assert r"\caption{移植. " in text
    assert r"\usepackage{ctex}" in text.splitlines()[1]
    assert not BEYOND_LATIN.search("Zürich ± – †")


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="without pdflatex its structure is checked above")
@pytest.mark.parametrize("of", [table(), two_metrics()], ids=["one", "two"])
def test_latex_compiles(of, tmp_path):
    head = r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs}\begin{document}"
    text = f"{head}\n{latex(of, 'x')}\\end{{document}}"
    (tmp_path / "t.tex").write_text(text, encoding="utf-8")
    done = subprocess.run(["pdflatex", "-halt-on-error", "t.tex"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]


def test_markdown():
    assert markdown(table()) == (
        "| data | model | random | a\\_b 100% \\& \\#1 |\n"
        "| --- | --- | ---: | ---: |\n"
        "| sst2 | cnn | 33.3 ± 1.0 | **90.0** ± 1.0 \\*† |\n"
        "| sst2 | rnn | – (no run yet) | 50.0 ± 1.0 (2 of 3 runs) |\n"
        "\n"
        "Rows \\& more. Accuracy (%). Mean ± standard deviation over seed. Bold: the best of each row.\n"
        "\n"
        "- \\* by Welch, p \\< 0.05\n"
        "- † by ASO\n"
        "\n"
        "- 3 of 12 cells\\_x\n"
    )


def test_markdown_heads_every_column_with_its_place_and_metric():
    head = markdown(two_metrics()).splitlines()[0]
    assert head.startswith("| data | model | random, accuracy (%) | random, loss | a\\_b")


def test_a_pipe_or_line_break_in_a_label_stays_in_its_cell():
    line = markdown(table(columns=(("a|b\nc",),), cells={})).splitlines()[0]
    assert line == "| data | model | a\\|b c |"


def test_a_place_that_the_study_leaves_out_is_empty():
    cells = {key: of for key, of in table().cells.items() if key[:2] != (SST, RANDOM)}
    assert r"sst2 & cnn &  & \textbf" in latex(table(cells=cells), "x")
    assert "| sst2 | cnn |  | **90.0**" in markdown(table(cells=cells))


def test_tests_that_found_nothing_are_told():
    quiet = tuple(
        replace(of, marks="", tests=tuple(replace(test, significant=False) for test in of.tests))
        for of in table().comparisons
    )
    assert "- No difference from the baseline is significant" in markdown(table(comparisons=quiet))
    assert "baseline" not in markdown(table(comparisons=()))


def test_csv_keeps_numbers_in_full_and_names_the_runs():
    lines = list(csv.DictReader(io.StringIO(table_csv(table()))))
    assert [(line["model"], line["rows"]) for line in lines] == [
        ("cnn", "random"), ("cnn", COPIED[0]), ("rnn", "random"), ("rnn", COPIED[0]),
    ]  # fmt: skip
    first, copied, missing, few = lines
    assert float(first["mean"]) == 1 / 3
    assert [float(value) for value in first["values"].split()] == list(table().cells[SST, RANDOM, ACCURACY.name].values)
    assert first["runs"] == "run0 run1 run2"
    assert (missing["n"], missing["expected_n"], missing["mean"], few["n"]) == ("0", "3", "", "2")
    assert (first["baseline"], first["welch_p"]) == ("", "")
    assert (copied["baseline"], copied["difference"], copied["pairs"]) == ("sst2 cnn random", "0.5667", "3")
    assert (copied["welch_p"], copied["welch_adjusted_p"]) == ("0.001", "0.002")
    assert (copied["aso_p"], copied["aso_statistic"]) == ("", "0.01")


def test_csv_without_comparisons_has_no_columns_for_them():
    assert table_csv(table(comparisons=())).splitlines()[0].endswith("best,values,runs")
