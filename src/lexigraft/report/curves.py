"""Learning curves: a dev metric by epoch, mean and spread over repeats."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from lexigraft.evaluation.style import figure_style
from lexigraft.report.drawing import Drawing, Look, axis_label, first_column, legend_below, look, panel_grid, told
from lexigraft.report.runs import CellRun, Panel, Series, series_names
from lexigraft.studies.metric import Metric
from lexigraft.studies.metric import metric as metric_of

MOST_PANELS, MOST_MARKS = 12, 25


def learning_curves(panels: Sequence[Panel], metric: Metric) -> Drawing | None:
    """The dev curve of `metric` (split/name), or of what the best epoch was chosen by; None where no run has one.

    A band is mean ± standard deviation over the runs of a system. Where only some runs reached an epoch, the mean is
    of those and its line is thin.
    """
    shown_as = metric_of(f"dev/{_key(panels, metric.name)}")
    tables = [
        {series.name: table for series in panel.series if (table := _table(series, shown_as)).size} for panel in panels
    ]
    shown = [(panel.name, of) for panel, of in zip(panels, tables) if of][:MOST_PANELS]
    if not shown:
        return None
    names = series_names(panels)
    tips: dict[str, str] = {}
    with figure_style():
        figure, all_axes = panel_grid(len(shown), 4.2, 3.2)
        for number, (axes, (panel_name, of)) in enumerate(zip(all_axes, shown)):
            for name, values in of.items():
                place = names.index(name)
                said = _draw(axes, values, look(place), name, f"curve-{number}-{place}")
                where = ", ".join(filter(None, (panel_name, name)))
                tips |= {gid: f"{where}\n{text}".strip() for gid, text in said.items()}
            axes.set(title=panel_name, xlabel="epoch", xlim=(0.5, max(t.shape[1] for t in of.values()) + 0.5))
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(axis="y")
            if first_column(axes):
                axes.set_ylabel(axis_label(shown_as))
        legend_below(figure, all_axes)
    caption = (
        f"{axis_label(shown_as)} by epoch: mean over the runs of a system, band ± one standard deviation; "
        "a thin line where not all of its runs reached the epoch"
    )
    return Drawing("learning_curves", "Learning curves", caption, figure, tips)


def _draw(axes: Axes, values: np.ndarray, style: Look, name: str, prefix: str) -> dict[str, str]:
    """Draw the curve of a system's values `[runs, epochs]`; what is told of each of its points, by its id."""
    epochs = np.arange(1, values.shape[1] + 1)
    counts = (~np.isnan(values)).sum(axis=0)
    mean, spread = np.full(len(epochs), np.nan), np.zeros(len(epochs))
    mean[counts > 0] = np.nanmean(values[:, counts > 0], axis=0)
    spread[counts > 1] = np.nanstd(values[:, counts > 1], axis=0, ddof=1)
    drawn = {"color": style.color, "linestyle": style.linestyle}
    axes.plot(epochs, mean, linewidth=0.8, **drawn)
    axes.plot(epochs, np.where(counts == len(values), mean, np.nan), linewidth=1.8, label=name, **drawn)
    axes.fill_between(
        epochs, mean - spread, mean + spread, where=counts > 1, color=style.color, alpha=0.18, linewidth=0
    )
    tips = {}
    reached = np.flatnonzero(counts)
    for at in reached[:: -(-len(reached) // MOST_MARKS)]:
        gid = f"{prefix}-{epochs[at]}"
        axes.plot([epochs[at]], [mean[at]], style.marker, color=style.color, markersize=4, gid=gid)
        tips[gid] = f"epoch {epochs[at]}: {told([one for one in values[:, at] if not np.isnan(one)])}"
    return tips


def _key(panels: Sequence[Panel], metric: str) -> str:
    """The name of what `history` holds of a metric; where it holds nothing, of what the best epoch was chosen by."""
    runs = [run for panel in panels for series in panel.series for run in series.runs]
    name = metric.rpartition("/")[2]
    if any(f"dev_{name}" in row for run in runs for row in run.result.get("history", [])):
        return name
    return next((run.run.monitor for run in runs if run.run.monitor), name)


def _table(series: Series, metric: Metric) -> np.ndarray:
    """A dev metric `[runs, epochs]`, NaN where a run has none; of several values in an epoch the last."""
    curves = [curve for run in series.runs if (curve := _curve(run, metric))]
    table = np.full((len(curves), max((max(curve) for curve in curves), default=0)), np.nan)
    for line, curve in zip(table, curves):
        for epoch, value in curve.items():
            line[epoch - 1] = value
    return table


def _curve(run: CellRun, metric: Metric) -> dict[int, float]:
    key = metric.name.replace("/", "_", 1)
    rows = [row for row in run.result.get("history", []) if row.get(key) is not None and row["epoch"] >= 1]
    return {int(row["epoch"]): metric.scaled(row[key]) for row in rows}
