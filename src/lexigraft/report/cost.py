"""What a system costs against what it reaches: seconds of training, or trained parameters."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from lexigraft.evaluation.style import GREY, figure_style
from lexigraft.report.drawing import (
    Drawing,
    axis_label,
    first_column,
    legend_below,
    look,
    mean_and_spread,
    panel_grid,
    told,
)
from lexigraft.report.runs import Panel, Series, series_names
from lexigraft.studies.metric import Metric

MOST_PANELS = 12


def cost_by_seconds(panels: Sequence[Panel], metric: Metric) -> Drawing | None:
    """`metric` against the seconds of training of a run, each a mean over repeats; None with fewer than two systems."""
    return _cost(panels, metric, "cost_seconds", "seconds of training", "seconds/train")


def cost_by_parameters(panels: Sequence[Panel], metric: Metric) -> Drawing | None:
    """`metric` against the number of trained parameters; None where all systems train equally many."""
    cost = "counts/trainable_parameters"
    if len({run.run.metrics.get(cost) for panel in panels for series in panel.series for run in series.runs}) < 2:
        return None
    return _cost(panels, metric, "cost_parameters", "trained parameters", cost)


def pareto_front(points: Sequence[tuple[float, float]], lower: bool = False) -> list[int]:
    """Indices of the points (cost, value) which no other beats at no greater cost, by rising cost."""
    sign = -1 if lower else 1
    front: list[int] = []
    for index in sorted(range(len(points)), key=lambda i: (points[i][0], -sign * points[i][1])):
        if not front or sign * points[index][1] > sign * points[front[-1]][1]:
            front.append(index)
    return front


def _cost(panels: Sequence[Panel], metric: Metric, name: str, what: str, cost: str) -> Drawing | None:
    points = [
        (panel.name, [(series, at) for series in panel.series if (at := _point(series, metric, cost))])
        for panel in panels
    ]
    shown = [(panel, of) for panel, of in points if len(of) > 1][:MOST_PANELS]
    if not shown:
        return None
    names, tips = series_names(panels), {}
    with figure_style():
        figure, all_axes = panel_grid(len(shown), 4.2, 3.4)
        for number, (axes, (panel, of)) in enumerate(zip(all_axes, shown)):
            for series, (costs, values) in of:
                gid = f"{name}-{number}-{names.index(series.name)}"
                _draw(axes, costs, values, series.name, names.index(series.name), gid)
                where = ", ".join(filter(None, (panel, series.name)))
                value = f"{metric.label} {told(values, metric.decimals)}"
                tips[gid] = f"{where}\n{value}\n{what} {_big(mean_and_spread(costs)[0])}"
            means = [(mean_and_spread(costs)[0], mean_and_spread(values)[0]) for _, (costs, values) in of]
            front = pareto_front(means, metric.higher_is_better is False)
            axes.plot(*zip(*(means[i] for i in front)), color=GREY, linestyle=":", zorder=0, label="not dominated")
            axes.set(title=panel, xlabel=what, xscale="log")
            axes.margins(0.08)
            _label_log(axes)
            axes.grid(axis="y")
            if first_column(axes):
                axes.set_ylabel(axis_label(metric))
        legend_below(figure, all_axes)
    caption = (
        f"{axis_label(metric)} against {what}: means over the runs of a system, upright whiskers ± one standard "
        "deviation, level ones from the cheapest run to the dearest; the dotted line joins the systems that no other "
        "beats at no greater cost"
    )
    return Drawing(name, f"Cost: {what}", caption, figure, tips)


def _point(series: Series, metric: Metric, cost: str) -> tuple[list[float], list[float]] | None:
    """Costs and values of the runs that have both."""
    both = [(run.run.metrics.get(cost), run.value(metric)) for run in series.runs]
    known = [(of, value) for of, value in both if of and value is not None]
    return ([of for of, _ in known], [value for _, value in known]) if known else None


def _draw(axes: Axes, costs: list[float], values: list[float], name: str, place: int, gid: str) -> None:
    style, (x, _), (y, spread) = look(place), mean_and_spread(costs), mean_and_spread(values)
    axes.plot([min(costs), max(costs)], [y, y], color=style.color, linewidth=1, alpha=0.7)
    axes.plot([x, x], [y - (spread or 0), y + (spread or 0)], color=style.color, linewidth=1, alpha=0.7)
    axes.plot([x], [y], style.marker, color=style.color, markersize=7, label=name, gid=gid)


def _label_log(axes: Axes) -> None:
    """Plain numbers at 1, 2 and 5 times powers of ten, as far as they lie on the axis."""
    low, high = axes.get_xlim()
    steps = (1, 2, 5) if high / low < 300 else (1,)
    ticks = [step * 10.0**power for power in range(-3, 13) for step in steps]
    if sum(low <= tick <= high for tick in ticks) < 3:
        ticks += [step * 10.0**power for power in range(-3, 13) for step in (1.2, 1.5, 3, 4, 7)]
    axes.set_xticks(sorted(tick for tick in ticks if low <= tick <= high))
    axes.set_xlim(low, high)
    axes.xaxis.set_major_formatter(lambda value, _: _big(value))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _big(value: float) -> str:
    """1,234 as 1.23k, 1142510 as 1.14M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
