"""What figures show, read from matplotlib's objects; that their files are the same each time."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from lexigraft.report.confusion import MOST_MATRICES, confusion_matrices
from lexigraft.report.cost import cost_by_parameters, cost_by_seconds, pareto_front
from lexigraft.report.critical_difference import critical_difference_diagram
from lexigraft.report.curves import learning_curves
from lexigraft.report.drawing import Drawing, save, shortened, told, width_of
from lexigraft.report.figures import figures
from lexigraft.report.per_class import MOST_CLASSES, per_class_f1
from lexigraft.report.runs import CellRun, data_axes, panels_of, read_runs
from lexigraft.report.values import MOST, values_of_systems
from lexigraft.runs.reading import Run
from lexigraft.studies.metric import metric
from tests.report.study import CLASSES, DATA, ROWS, Made

ACCURACY = metric("test/accuracy")


@pytest.fixture(scope="module")
def panels(made: Made):
    return panels_of(read_runs(made.results), ["data"], ["seed"])


def runs_of(values: dict[tuple[str, str], list[float]], name: str = "test/accuracy", **result) -> list[CellRun]:
    """Finished runs by data set and system, with a value for each seed."""
    return [
        CellRun({"data": data, "system": system, "seed": str(seed)}, Run("r", Path("r"), "finished", metrics={name: v}),
                {"metrics": {}, **result})
        for (data, system), of in values.items()
        for seed, v in enumerate(of)
    ]  # fmt: skip


def texts(drawing: Drawing) -> list[str]:
    return [text.get_text() for axes in drawing.figure.axes for text in axes.texts]


def labels(drawing: Drawing) -> list[str]:
    (legend,) = drawing.figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_panels_are_rows_and_series_what_is_left(made, panels):
    assert [panel.name for panel in panels] == list(DATA)
    assert [series.name for series in panels[1].series] == list(ROWS)
    # Of sst2 with random rows only seed 0 has finished.
    assert [run.labels["seed"] for run in panels[0].series[0].runs] == ["0"]
    assert [len(series.runs) for series in panels[1].series] == [2, 3, 3]


def test_axes_with_one_label_name_nothing():
    (panel,) = panels_of(runs_of({("a", "x"): [0.5, 0.6]}), ["data"], ["seed"])
    assert (panel.name, [series.name for series in panel.series]) == ("", [""])


def test_data_axes_are_found_by_what_they_change(made):
    assert data_axes(made.cells) == ["data"]


def test_values_stand_side_by_side_with_their_runs():
    of = {("a", "x"): [0.5, 0.6], ("a", "y"): [0.7], ("b", "y"): [0.8, 0.9]}
    drawing = values_of_systems(panels_of(runs_of(of), ["data"], ["seed"]), ACCURACY)
    (axes,) = drawing.figure.axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["a", "b"]
    assert (axes.get_ylabel(), labels(drawing)) == ("accuracy (%)", ["x", "y"])
    dots, whisker, mean = axes.lines[:3]
    assert dots.get_ydata().tolist() == [50, 60]
    assert mean.get_ydata() == pytest.approx([55])
    assert whisker.get_ydata() == pytest.approx([55 - 50**0.5, 55 + 50**0.5])
    assert drawing.tips["value-0-0"] == "a, x\naccuracy 55.0 ± 7.1 (50.0, 60.0)"
    assert drawing.tips["value-0-1"] == "a, y\naccuracy 70.0 (one run)"
    assert axes.lines[2].get_xdata()[0] < axes.lines[5].get_xdata()[0] < 0.5 < axes.lines[8].get_xdata()[0]


def test_one_system_or_very_many_are_not_shown_side_by_side():
    assert values_of_systems(panels_of(runs_of({("a", "x"): [0.5]}), ["data"], ["seed"]), ACCURACY) is None
    many = runs_of({("a", f"system {i}"): [0.5] for i in range(MOST + 1)})
    assert values_of_systems(panels_of(many, ["data"], ["seed"]), ACCURACY) is None


def test_learning_curves_are_means_with_bands(panels):
    drawing = learning_curves(panels, ACCURACY)
    assert [axes.get_title() for axes in drawing.figure.axes] == list(DATA)
    assert drawing.figure.axes[0].get_ylabel() == "dev accuracy (%)"
    assert labels(drawing) == list(ROWS)
    copied = panels[1].series[1]
    finals = [run.result["history"][2]["dev_accuracy"] for run in copied.runs]
    thin, whole = (line.get_ydata() for line in drawing.figure.axes[1].lines if line.get_color() == "#D55E00" and
                   len(line.get_xdata()) > 1)  # fmt: skip
    assert whole[2] == thin[2] == pytest.approx(100 * np.mean(finals))
    # Only seed 2 has a fourth epoch: no longer the mean of all.
    assert np.isnan(whole[3])
    assert thin[3] == pytest.approx(100 * copied.runs[2].result["history"][3]["dev_accuracy"])
    tip = drawing.tips["curve-1-1-3"]
    assert tip.startswith(
        f"{DATA[1]}, {ROWS[1]}\nepoch 3: {100 * np.mean(finals):.4f} ± {100 * np.std(finals, ddof=1):.4f}"
    )


def test_learning_curves_fall_back_to_the_monitored_metric(panels):
    assert learning_curves(panels, metric("seconds/train")).figure.axes[0].get_ylabel() == "dev accuracy (%)"


def test_per_class_f1(panels):
    drawing = per_class_f1(panels, "test")
    axes = drawing.figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == CLASSES
    assert axes.get_xlabel() == "F1 on test (%)"
    values = [100 * run.result["metrics"]["test"]["per_class"]["差评"]["f1"] for run in panels[1].series[2].runs]
    assert drawing.tips["class-1-2-0"] == f"{DATA[1]}, {ROWS[2]}\n差评: F1 {told(values, 2)}"


def test_of_very_many_classes_those_with_the_most_texts_are_shown():
    per_class = {f"c{i}": {"f1": 0.5, "support": i} for i in range(100)}
    runs = runs_of({("a", "x"): [0.5]}, metrics={"test": {"per_class": per_class}})
    drawing = per_class_f1(panels_of(runs, [], ["seed"]), "test")
    assert [label.get_text() for label in drawing.figure.axes[0].get_yticklabels()] == [f"c{i}" for i in range(60, 100)]
    assert f"the {MOST_CLASSES} classes with the most texts" in drawing.caption


def test_confusions_are_means_of_shares(panels):
    drawing = confusion_matrices(panels, "test")
    matrices = [np.array(run.result["metrics"]["test"]["confusion"]) for run in panels[1].series[1].runs]
    shares = np.mean([of / of.sum(axis=1, keepdims=True) for of in matrices], axis=0)
    assert drawing.tips["confusion-4-0-1"] == (
        f"{DATA[1]}, {ROWS[1]}, 3 runs\ntrue 差评, predicted 中_评: {100 * shares[0, 1]:.1f} %"
    )
    assert f"{100 * shares[0, 0]:.0f}" in texts(drawing)
    assert [label.get_text() for label in drawing.figure.axes[4].get_yticklabels()] == CLASSES


def test_a_class_without_texts_has_no_shares():
    result = {"metrics": {"test": {"confusion": [[2, 2], [0, 0]], "per_class": {"a": {}, "b": {}}}}}
    runs = runs_of({("a", "x"): [0.5]}, **result)
    drawing = confusion_matrices(panels_of(runs, [], ["seed"]), "test")
    assert [tip.split(": ")[1] for tip in drawing.tips.values()] == ["50.0 %", "50.0 %", "0.0 %", "0.0 %"]


def test_a_matrix_of_many_classes_is_an_image():
    per_class = {f"类{i}": {} for i in range(20)}
    result = {"metrics": {"test": {"confusion": np.eye(20).tolist(), "per_class": per_class}}}
    drawing = confusion_matrices(panels_of(runs_of({("a", "x"): [0.5]}, **result), [], ["seed"]), "test")
    assert drawing.tips == {}
    assert drawing.figure.axes[0].images[0].get_array().tolist() == np.eye(20).tolist()
    assert len(drawing.figure.axes[0].get_xticklabels()) == 20


def test_of_very_many_confusions_some_are_shown():
    result = {"metrics": {"test": {"confusion": [[2]], "per_class": {"a": {}}}}}
    runs = runs_of({("a", f"s{i}"): [0.5] for i in range(20)}, **result)
    drawing = confusion_matrices(panels_of(runs, [], ["seed"]), "test")
    assert drawing.caption.endswith(f"the first {MOST_MATRICES} of 20")
    assert len([axes for axes in drawing.figure.axes if axes.patches]) == MOST_MATRICES


def test_nothing_is_drawn_of_nothing():
    runs = runs_of({("a", "x"): [0.5]})
    empty = panels_of(runs, [], ["seed"])
    assert learning_curves(empty, ACCURACY) is None
    assert per_class_f1(empty, "test") is None
    assert confusion_matrices(empty, "test") is None
    assert cost_by_seconds(empty, ACCURACY) is None
    assert figures([CellRun({"seed": "0"}, Run("r", Path("r"), "failed"))], ACCURACY) == []


def test_cost_and_the_front_of_systems_that_none_beats(panels):
    drawing = cost_by_seconds(panels, ACCURACY)
    assert [axes.get_title() for axes in drawing.figure.axes] == list(DATA)
    assert labels(drawing) == [*ROWS, "not dominated"]
    assert drawing.figure.axes[0].get_xscale() == "log"
    (front,) = (line for line in drawing.figure.axes[1].lines if line.get_label() == "not dominated")
    assert list(front.get_ydata()) == [np.mean([run.value(ACCURACY) for run in of.runs]) for of in panels[1].series]
    parameters = cost_by_parameters(panels, ACCURACY)
    assert "trained parameters 9k" in parameters.tips["cost_parameters-1-2"]


@pytest.mark.parametrize(
    ("points", "lower", "front"),
    [
        ([(1, 5), (2, 4), (3, 6)], False, [0, 2]),
        ([(1, 5), (2, 4), (3, 6)], True, [0, 1]),
        ([(1, 5), (1, 6), (2, 6)], False, [1]),
        ([(2, 7), (1, 7)], False, [1]),
    ],
)
def test_pareto_front(points, lower, front):
    assert pareto_front(points, lower) == front


def test_systems_with_equally_many_parameters_are_not_weighed_by_them():
    runs = runs_of({("a", "x"): [9.0], ("a", "y"): [9.0]}, "counts/trainable_parameters")
    assert cost_by_parameters(panels_of(runs, ["data"], ["seed"]), ACCURACY) is None


def ranked(name: str = "test/accuracy") -> list[CellRun]:
    """Three systems on four data sets, always in the same order; on a fifth, one system has no value."""
    order = {"最好": 0.9, "middle": 0.8, "worst": 0.7}
    values = {(data, system): [of, of + 0.01] for data in "abcd" for system, of in order.items()}
    return runs_of(values | {("e", "middle"): [1.0]}, name)


def test_critical_difference_by_accuracy_and_by_loss():
    drawing = critical_difference_diagram(panels_of(ranked(), ["data"], ["seed"]), ACCURACY)
    assert {"最好 (1.00) ", "middle (2.00) ", " worst (3.00)"} <= set(texts(drawing))
    assert "over 4 data sets" in drawing.caption
    assert drawing.caption.endswith("; left out: 1 on which a system has no value")
    assert drawing.tips["rank-0"] == "最好: average rank 1.00\na 90.5, b 90.5, c 90.5, d 90.5"
    by_loss = critical_difference_diagram(panels_of(ranked("test/loss"), ["data"], ["seed"]), metric("test/loss"))
    assert {"worst (1.00) ", " 最好 (3.00)"} <= set(texts(by_loss))


def test_no_critical_difference_of_two_systems_or_one_data_set():
    two = [run for run in ranked() if run.labels["system"] != "worst"]
    one = [run for run in ranked() if run.labels["data"] == "a"]
    for runs in (two, one):
        assert critical_difference_diagram(panels_of(runs, ["data"], ["seed"]), ACCURACY) is None
    assert critical_difference_diagram(panels_of(ranked(), ["data"], ["seed"]), metric("counts/parameters")) is None


def test_a_study_has_all_figures_in_three_formats(report: Path):
    names = [
        "values",
        "learning_curves",
        "per_class_f1",
        "confusion",
        "critical_difference",
        "cost_seconds",
        "cost_parameters",
    ]
    assert {path.name for path in (report / "figures").iterdir()} == {
        f"{name}.{kind}" for name in names for kind in ("pdf", "svg", "png")
    }
    for name in names:
        height, width, _ = imread(report / "figures" / f"{name}.png").shape
        assert 100 < height < 3000
        assert 300 < width < 3000
        assert (report / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.usefixtures("no_warning")
def test_files_are_the_same_each_time_and_all_letters_are_drawn(tmp_path):
    for folder in ("a", "b"):
        drawing = critical_difference_diagram(panels_of(ranked(), ["data"], ["seed"]), ACCURACY)
        written = save(drawing, tmp_path / folder)
    assert [path.name for path in written] == [f"critical_difference.{kind}" for kind in ("pdf", "svg", "png")]
    for path in written:
        assert path.read_bytes() == (tmp_path / "a" / path.name).read_bytes()
    assert b"Date" not in (tmp_path / "a" / "critical_difference.pdf").read_bytes()


def test_long_names_are_cut_by_their_width():
    assert width_of("ab移植") == 6
    assert shortened("ab移植", 6) == "ab移植"
    assert shortened("ab移植cd", 6) == "ab移…"
