"""The table as a picture: what each system reaches on each task, with its runs."""

from collections.abc import Sequence

from lexigraft.evaluation.style import figure_style
from lexigraft.report.drawing import (
    Drawing,
    axis_label,
    legend_below,
    look,
    mean_and_spread,
    panel_grid,
    shortened,
    told,
)
from lexigraft.report.runs import CellRun, Panel, series_names
from lexigraft.studies.metric import Metric

MOST = 60  # marks, beyond which they cannot be told apart
_SIDE = 0.35  # of a task's width, on which its systems stand to the left and the right of its middle


def values_of_systems(panels: Sequence[Panel], metric: Metric) -> Drawing | None:
    """Means with standard deviations and single runs, side by side for each panel; None with fewer than two systems,
    or too many to be told apart.
    """
    known = [
        (panel, [(series.name, values) for series in panel.series if (values := _values(series.runs, metric))])
        for panel in panels
    ]
    known = [(panel, of) for panel, of in known if of]
    names, marks = series_names(panels), sum(len(of) for _, of in known)
    if len({name for _, of in known for name, _ in of}) < 2 or marks > MOST:
        return None
    tips, step = {}, 2 * _SIDE / max(1, len(names) - 1)
    with figure_style():
        figure, (axes,) = panel_grid(1, max(2.6, 1 + 0.22 * marks), 3.4)
        for at, (panel, of) in enumerate(known):
            for name, values in of:
                place = names.index(name)
                style, x, (mean, spread) = look(place), at - _SIDE + step * place, mean_and_spread(values)
                gid = f"value-{at}-{place}"
                axes.plot([x] * len(values), values, ".", color=style.color, alpha=0.4, markersize=5)
                axes.plot([x, x], [mean - (spread or 0), mean + (spread or 0)], color=style.color, linewidth=1.2)
                axes.plot([x], [mean], style.marker, color=style.color, markersize=7, label=name, gid=gid)
                where = ", ".join(filter(None, (panel.name, name)))
                tips[gid] = f"{where}\n{metric.label} {told(values, metric.decimals)}"
        axes.set_xticks(range(len(known)), [shortened(panel.name, 24) for panel, _ in known])
        axes.set_xlim(-0.6, len(known) - 0.4)
        axes.set_ylabel(axis_label(metric))
        axes.tick_params(axis="x", length=0)
        axes.grid(axis="y")
        legend_below(figure, [axes])
    caption = (
        f"{axis_label(metric)} of each system: large marks are means over its runs, whiskers ± one standard deviation, "
        "small dots the runs"
    )
    return Drawing("values", metric.label, caption, figure, tips)


def _values(runs: Sequence[CellRun], metric: Metric) -> list[float]:
    return [value for run in runs if (value := run.value(metric)) is not None]
