import io
import math
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from lexigraft.config.errors import ConfigError
from lexigraft.statistics.holm import holm
from lexigraft.statistics.seeds import welch
from lexigraft.statistics.summary import summarise, summarise_folds
from lexigraft.studies.metric import metric
from lexigraft.studies.results import read_results
from lexigraft.studies.study import Compare, Study, Table
from lexigraft.studies.table import Score
from lexigraft.studies.table_text import table_text
from lexigraft.studies.tabulating import result_table
from tests.studies.cells_done import cells_of, finish, leave, predict

AXES = {"data": ["trec", "sst2"], "rows": ["random", "moved"], "seed": [0, 1, 2]}
VALUES = {
    ("trec", "random"): (0.70, 0.71, 0.72), ("trec", "moved"): (0.80, 0.82, 0.81),
    ("sst2", "random"): (0.50, 0.52, 0.51), ("sst2", "moved"): (0.50, 0.53, 0.51),
}  # fmt: skip


@pytest.fixture
def cells(tmp_path):
    made = cells_of(tmp_path, AXES)
    for cell in reversed(made):
        accuracy = VALUES[cell.labels["data"], cell.labels["rows"]][int(cell.labels["seed"])]
        finish(cell, accuracy, seconds=10.0, loss=round(1 - accuracy, 6))
    return made


def study(**options) -> Study:
    return Study(**{"axes": AXES, "name": "grafts", "table": Table(["data"], ["rows"])} | options)


def table_of(cells, metrics=("test/accuracy",), **options):
    return result_table(study(**options), read_results(cells, metrics))


def text_of(table) -> str:
    console = Console(width=120, file=io.StringIO())
    console.print(table_text(table))
    lines = (line.rstrip() for line in console.file.getvalue().splitlines())
    return "\n".join(line for line in lines if line)


def test_means_over_repeats_in_the_order_of_the_study(cells):
    table = table_of(cells)
    assert (table.title, table.row_axes, table.column_axes, table.repeats) == (
        "grafts",
        ("data",),
        ("rows",),
        ("seed",),
    )
    assert table.rows == (("trec",), ("sst2",))
    assert table.columns == (("random",), ("moved",))
    score = table.cells[("trec",), ("moved",), "test/accuracy"]
    of = summarise([0.80, 0.82, 0.81])
    assert (score.n, score.expected_n, score.values) == (3, 3, (0.80, 0.82, 0.81))
    assert score.runs == tuple(cell.id for cell in cells[3:6])
    assert (score.mean, score.std, score.low, score.high) == (of.mean, of.deviation, of.low, of.high)
    assert score.std == pytest.approx(0.01)
    assert score.high == pytest.approx(0.81 + 4.302653 * 0.01 / math.sqrt(3))
    assert (table.comparisons, dict(table.legend), table.notes) == ((), {}, ())


def test_the_order_of_records_does_not_depend_on_when_runs_were_made(cells):
    before = table_of(cells)
    for cell in cells[::3] + cells[1::3]:
        value = VALUES[cell.labels["data"], cell.labels["rows"]][int(cell.labels["seed"])]
        finish(cell, value, seconds=10.0, loss=round(1 - value, 6))
    (cells[0].folder.parent / "index.sqlite").unlink()
    assert table_of(cells) == before


def test_rows_are_in_the_order_of_the_axes_even_where_cells_are_left_out(tmp_path):
    axes = {"model": ["a", "b"], "rows": ["x", "y"]}
    made = [cell for cell in cells_of(tmp_path, axes) if dict(cell.labels) != {"model": "a", "rows": "x"}]
    for cell in made:
        finish(cell, 0.5)
    table = table_of(made, axes=axes, table=Table(["rows"], ["model"]))
    assert table.rows == (("x",), ("y",))
    assert table.columns == (("a",), ("b",))
    assert (("x",), ("a",), "test/accuracy") not in table.cells
    assert len(table.cells) == 3
    assert table.notes == ()


def test_without_a_table_all_axes_but_the_repeats_are_rows(cells):
    table = table_of(cells, table=Table())
    assert (table.row_axes, table.column_axes, table.columns) == (("data", "rows"), (), ((),))
    assert table.rows == (("trec", "random"), ("trec", "moved"), ("sst2", "random"), ("sst2", "moved"))
    table = table_of(cells, table=Table(columns=["rows"]))
    assert (table.row_axes, table.column_axes) == (("data",), ("rows",))


def test_an_axis_that_is_averaged_without_being_a_repeat_is_noted(cells):
    table = table_of(cells, table=Table(rows=["rows"]))
    assert table.cells[("moved",), (), "test/accuracy"].n == 6
    assert table.repeats == ("data", "seed")
    assert table.notes == ("means are over data (trec, sst2) too, which is not among the repeats",)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (Table(["dat"]), "table: the study has no axis 'dat'; did you mean 'data'?"),
        (Table(["data"], ["xyz"]), "table: the study has no axis 'xyz'; it has data, rows, seed"),
        (Table(["data"], ["data"]), "table: the axis 'data' is given as rows and as columns; choose one"),
    ],
)
def test_a_table_of_other_axes(cells, table, problem):
    with pytest.raises(ConfigError) as told:
        table_of(cells, table=table)
    assert told.value.problems == (problem,)


def test_missing_runs_are_counted(cells):
    (cells[4].folder / "result.json").unlink()
    leave(cells[4], "failed", "no memory")
    for cell in cells[6:9]:
        (cell.folder / "result.json").unlink()
        leave(cell, "interrupted")
    table = table_of(cells)
    score = table.cells[("trec",), ("moved",), "test/accuracy"]
    assert (score.n, score.expected_n, score.values) == (2, 3, (0.80, 0.81))
    assert table.cells[("sst2",), ("random",), "test/accuracy"] == Score(0, 3)
    assert table.notes == ("4 of 12 cells have no result: 1 failed, 3 interrupted",)
    assert "80.5 ± 0.7 (2 of 3)" in text_of(table)
    assert "– (0 of 3)" in text_of(table)


def test_one_run_has_no_spread(tmp_path):
    made = cells_of(tmp_path, {"rows": ["a"], "seed": [0]})
    finish(made[0], 0.5)
    table = table_of(made, axes={"rows": ["a"], "seed": [0]}, table=Table())
    score = table.cells[("a",), (), "test/accuracy"]
    assert (score.mean, score.std, score.low, score.high, score.best) == (0.5, None, None, None, False)


def test_a_run_that_cells_share_counts_once(tmp_path):
    made = cells_of(tmp_path, {"rows": ["a"], "seed": [0, 1]})
    finish(made[0], 0.5)
    finish(made[1], 0.7)
    again = replace(made[1], labels={"rows": "a", "seed": "one"})
    table = table_of([*made, again], axes={"rows": ["a"], "seed": [0, 1, "one"]}, table=Table())
    assert table.cells[("a",), (), "test/accuracy"].values == (0.5, 0.7)
    assert table.notes == ("3 cells share 2 runs; in a mean, each counts once",)


def test_folds_share_training_texts(tmp_path):
    axes = {"rows": ["a"], "data.fold": [0, 1, 2]}
    made = cells_of(tmp_path, axes)
    for cell, accuracy in zip(made, (0.5, 0.6, 0.7)):
        finish(cell, accuracy)
    table = table_of(made, axes=axes, table=Table())
    of = summarise_folds([0.5, 0.6, 0.7], train=900, test=100)
    score = table.cells[("a",), (), "test/accuracy"]
    assert (score.low, score.high) == (of.low, of.high)
    assert of.high > summarise([0.5, 0.6, 0.7]).high
    assert "Nadeau" in table.notes[0]


def best_of(table, name="test/accuracy"):
    return [(*row, *column) for (row, column, of), score in table.cells.items() if of == name and score.best]


def test_the_best_of_each_row(cells):
    table = table_of(cells, ("test/accuracy", "test/loss", "counts/parameters"))
    assert table.best_of == "each row"
    assert best_of(table) == [("trec", "moved"), ("sst2", "moved")]
    assert best_of(table, "test/loss") == best_of(table)
    assert best_of(table, "counts/parameters") == []


def test_what_shows_the_same_is_equally_good(cells):
    finish(cells[-2], 0.5202)
    assert best_of(table_of(cells))[1:] == [("sst2", "random"), ("sst2", "moved")]


def test_the_best_method_of_each_data_set_wherever_methods_stand(cells):
    baseline = Compare(baseline={"rows": "random"}, tests=["welch"])
    expected = {("trec", "moved"), ("sst2", "moved")}
    for layout, name in (
        (Table(["data"], ["rows"]), "each row"),
        (Table(["data", "rows"]), "those of the same data"),
        (Table(), "those of the same data"),
    ):
        table = table_of(cells, table=layout, compare=baseline)
        assert (set(best_of(table)), table.best_of) == (expected, name)
    table = table_of(cells, table=Table(["rows"], ["data"]), compare=baseline)
    assert (set(best_of(table)), table.best_of) == ({("moved", "trec"), ("moved", "sst2")}, "each column")
    table = table_of(cells, table=Table(["rows"], ["seed"]), compare=baseline, repeats=["data"])
    assert table.best_of == "each column"


def test_comparison_with_the_baseline(cells):
    compare = Compare(baseline={"rows": "random"}, tests=["welch", "wilcoxon"])
    table = table_of(cells, compare=compare)
    first, second = table.comparisons
    assert (first.row, first.column, first.against) == (("trec",), ("moved",), (("trec",), ("random",)))
    differences = summarise([0.10, 0.11, 0.09])
    assert first.pairs == 3
    assert (first.difference, first.low, first.high) == pytest.approx(
        (differences.mean, differences.low, differences.high)
    )
    tests = [welch(VALUES[data, "moved"], VALUES[data, "random"]).p for data in ("trec", "sst2")]
    assert [each.tests[0].p for each in table.comparisons] == tests
    assert [each.tests[0].adjusted for each in table.comparisons] == holm(tests)
    assert (first.marks, first.significant, second.marks, second.significant) == ("*", True, "", False)
    assert table.comparison(("sst2",), ("moved",), "test/accuracy") == second
    assert table.comparison(("sst2",), ("random",), "test/accuracy") is None
    assert table.legend["*"] == (
        "differs from rows=random by Welch's t test, p < 0.05 after Holm's correction over 2 comparisons"
    )
    assert any(note.startswith("Wilcoxon's signed-rank test: With 3 pairs") for note in table.notes)
    uncorrected = table_of(cells, compare=replace(compare, correction="none"))
    assert [each.tests[0].adjusted for each in uncorrected.comparisons] == tests
    assert "uncorrected" in uncorrected.legend["*"]


def test_almost_stochastic_order_is_marked_where_it_is_clear(cells):
    table = table_of(cells, compare=Compare(baseline={"rows": "random"}, tests=["aso"]))
    first, second = (each.tests[0] for each in table.comparisons)
    assert (first.p, first.adjusted, first.statistic, first.significant) == (None, None, 0.0, True)
    assert (second.statistic or 0) > 0.2
    assert not second.significant
    assert "epsilon < 0.2" in table.legend["*"]


def test_tests_on_stored_predictions(cells):
    draw = np.random.default_rng(0)
    for cell in cells:
        values = VALUES[cell.labels["data"], cell.labels["rows"]]
        right = np.zeros(100, bool)
        right[draw.permutation(100)[: round(100 * values[int(cell.labels["seed"])])]] = True
        predict(cell, right)
    compare = Compare(baseline={"rows": "random"}, tests=["mcnemar", "paired_bootstrap"])
    table = table_of(cells, compare=compare)
    assert all(test.p is not None for each in table.comparisons for test in each.tests)
    first, second = table.comparisons
    assert second.marks == ""
    assert first.tests[1].p < 0.1 < second.tests[1].p
    assert table_of(cells, compare=compare) == table
    # Predictions that are made anew count at once.
    for cell in cells:
        predict(cell, np.arange(100) < (90 if cell.labels["rows"] == "moved" else 50))
    assert [each.marks for each in table_of(cells, compare=compare).comparisons] == ["*†", "*†"]


def test_tests_that_cannot_be_made_say_why(cells):
    predict(cells[0], np.ones(10, bool))
    table = table_of(cells, compare=Compare(baseline={"rows": "random"}, tests=["paired_bootstrap"]))
    for each in table.comparisons:
        [test] = each.tests
        assert (test.p, test.significant) == (None, False)
        assert "there are no predictions of" in (test.why or "")
    [note] = table.notes
    assert note.startswith("paired bootstrap was not made: there are no predictions of 3 of 3 runs")
    assert note.endswith("(2 of 2 comparisons)")
    assert "significant" not in text_of(table)
    assert "*" not in text_of(table)


def test_pairs_are_equal_in_the_repeats(cells):
    for cell in (cells[0], cells[5]):  # seed 0 of the baseline, seed 2 of the other
        (cell.folder / "result.json").unlink()
        leave(cell, "failed")
    table = table_of(cells, compare=Compare(baseline={"rows": "random"}, tests=["welch"]))
    first = table.comparison(("trec",), ("moved",), "test/accuracy")
    assert (first.pairs, first.difference, first.low) == (1, pytest.approx(0.82 - 0.71), None)


def test_a_side_without_a_result_is_not_compared(cells):
    for cell in cells[:3]:
        (cell.folder / "result.json").unlink()
        leave(cell, "new")
    table = table_of(cells, compare=Compare(baseline={"rows": "random"}, tests=["welch"]))
    assert [each.row for each in table.comparisons] == [("sst2",)]
    assert "1 comparisons were not made, as a side of them has no result" in table.notes


def test_counts_and_seconds_are_not_tested(cells):
    metrics = ("test/accuracy", "seconds/total", "counts/parameters")
    table = table_of(cells, metrics, compare=Compare(baseline={"rows": "random"}, tests=["welch"]))
    assert {each.metric for each in table.comparisons} == {"test/accuracy"}


@pytest.mark.parametrize(
    ("baseline", "problem"),
    [
        ({"row": "random"}, "compare.baseline: the study has no axis 'row'; did you mean 'rows'?"),
        ({"rows": "randon"}, "compare.baseline: axis 'rows' has no 'randon'; did you mean 'random'?"),
        ({"rows": ["random", "moved"]}, "compare.baseline: rows is ['random', 'moved'], but one label is expected"),
        ({"seed": 0}, "compare.baseline: runs are averaged over 'seed'; name an axis of rows or columns"),
        ({}, "compare.baseline names no axis; write for example {transplant: random}"),
    ],
)
def test_a_baseline_that_there_is_not(cells, baseline, problem):
    with pytest.raises(ConfigError) as told:
        table_of(cells, compare=Compare(baseline=baseline))
    assert told.value.problems == (problem,)


def test_a_baseline_left_out_of_this_line_is_no_error(cells):
    table = table_of(cells[3:6], compare=Compare(baseline={"rows": "random"}, tests=["welch"]))
    assert table.comparisons == ()
    assert "1 comparisons were not made, as a side of them has no result" in table.notes


def test_text_for_the_terminal(cells):
    compare = Compare(baseline={"rows": "random"}, tests=["welch"])
    lines = text_of(table_of(cells, compare=compare, title="Rows")).splitlines()
    assert lines[0] == "Rows"
    assert lines[1].split() == ["data", "random", "moved"]
    assert lines[3].split() == ["trec", "71.0", "±", "1.0", "81.0", "±", "1.0", "*"]
    assert lines[4].split() == ["sst2", "51.0", "±", "1.0", "51.3", "±", "1.5"]
    assert "accuracy in %" in lines
    assert "mean ± standard deviation over seed" in lines
    assert "bold: the best of each row" in lines
    assert any(line.startswith("*  differs from rows=random") for line in lines)


def test_text_of_several_metrics_and_nested_rows(cells):
    lines = text_of(table_of(cells, ("test/accuracy", "test/loss"), table=Table())).splitlines()
    assert lines[1].split() == ["data", "rows", "accuracy", "(%)", "loss"]
    assert lines[3].split()[:2] == ["trec", "random"]
    assert lines[4].split()[0] == "moved"
    assert "0.2900 ± 0.0100" in lines[3]
    wide = text_of(table_of(cells, ("test/accuracy", "test/loss"))).splitlines()
    assert wide[1].split() == ["random", "random", "moved", "moved"]


@pytest.mark.parametrize(
    ("name", "label", "text"),
    [
        ("test/accuracy", "accuracy", "12.3"), ("dev/macro_f1", "dev macro F1", "12.3"),
        ("test/topic/accuracy", "topic accuracy", "12.3"), ("test/loss", "loss", "0.1235"),
        ("test/pearson", "Pearson's r", "0.123"), ("seconds/total", "seconds (total)", "0.1"),
        ("counts/parameters", "parameters", "0"), ("test/entities", "entities", "0"),
        ("best/value", "best value", "0.1235"), ("test/new_score", "new score", "0.1235"),
    ],
)  # fmt: skip
def test_metrics_are_shown_by_their_names(name, label, text):
    of = metric(name)
    assert (of.label, of.text(0.12345)) == (label, text)


def test_metrics_in_text():
    assert metric("counts/parameters").text(1_023_910) == "1,023,910"
    assert metric("speed/samples_per_second").text(1234.56) == "1,235"
    assert metric("test/accuracy").text(None) == "–"
    assert [metric("test/accuracy").text(d, sign=True) for d in (0.012, -0.012)] == ["+1.2", "-1.2"]
    assert [metric(f"test/{name}").higher_is_better for name in ("f1", "loss", "r2", "count")] == [
        True, False, True, None,
    ]  # fmt: skip
