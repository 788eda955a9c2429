"""The figures of a study: which there are, and which runs stand in which panel."""

from collections.abc import Iterable, Sequence

from lexigraft.report.confusion import confusion_matrices
from lexigraft.report.cost import cost_by_parameters, cost_by_seconds
from lexigraft.report.critical_difference import critical_difference_diagram
from lexigraft.report.curves import learning_curves
from lexigraft.report.drawing import Drawing
from lexigraft.report.per_class import per_class_f1
from lexigraft.report.runs import CellRun, panels_of
from lexigraft.report.values import values_of_systems
from lexigraft.studies.metric import Metric


def figures(
    runs: Sequence[CellRun],
    metric: Metric,
    *,
    rows: Sequence[str] = (),
    data: Sequence[str] = (),
    repeats: Sequence[str] = (),
    alpha: float = 0.05,
) -> list[Drawing]:
    """All figures for which there are results; `rows` and `data` are axes: the table's rows, and those of data sets.

    Curves, classes and confusions have a panel for each row of the table, if more than one system is left in one. What
    weighs systems against each other has a panel for each data set.
    """
    by_row = panels_of(runs, [*rows, *data], repeats)
    by_data = panels_of(runs, data, repeats)
    if not by_data:
        return []
    if max(len(panel.series) for panel in by_row) < 2:
        by_row = by_data
    split = metric.name.rpartition("/")[0]
    split = split if _measured(runs, split) else "test"
    wanted: Iterable[Drawing | None] = (
        values_of_systems(by_row, metric),
        learning_curves(by_row, metric),
        per_class_f1(by_row, split),
        confusion_matrices(by_row, split),
        critical_difference_diagram(by_data, metric, alpha) if data else None,
        cost_by_seconds(by_data, metric),
        cost_by_parameters(by_data, metric),
    )
    return [drawing for drawing in wanted if drawing is not None]


def _measured(runs: Sequence[CellRun], split: str) -> bool:
    """Whether any run was measured on it; the main metric may be a cost instead."""
    return any(run.of_split(split) for run in runs)
