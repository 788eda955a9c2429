"""The critical-difference diagram: average ranks over data sets, and which systems cannot be told apart."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lexigraft.evaluation.style import GREY, figure_style
from lexigraft.report.drawing import Drawing, axis_label, mean_and_spread, shortened, width_of
from lexigraft.report.runs import Panel, series_names
from lexigraft.statistics.ranks import CriticalDifference, critical_difference
from lexigraft.studies.metric import Metric

LEAST_SYSTEMS, LEAST_DATA_SETS, MOST_SYSTEMS = 3, 2, 30


def critical_difference_diagram(panels: Sequence[Panel], metric: Metric, alpha: float = 0.05) -> Drawing | None:
    """Of systems (series) on data sets (panels), by the mean of `metric` over repeats (Demsar 2006).

    Only panels count on which every system has a value. None with fewer than three systems or two such panels, and of
    a metric of which neither more nor less is better.
    """
    names = series_names(panels)
    of_panels = {panel.name: _means(panel, metric) for panel in panels}
    complete = [name for name, means in of_panels.items() if len(means) == len(names)]
    few = not LEAST_SYSTEMS <= len(names) <= MOST_SYSTEMS or len(complete) < LEAST_DATA_SETS
    if few or metric.higher_is_better is None:
        return None
    scores = {name: [of_panels[panel][name] for panel in complete] for name in names}
    found = critical_difference(scores, alpha, lower_is_better=not metric.higher_is_better)
    with figure_style():
        figure, tips = _draw(found)
    each = {
        name: ", ".join(f"{p} {v:.{metric.decimals}f}" for p, v in zip(complete, of)) for name, of in scores.items()
    }
    tips = {gid: f"{name}: average rank {found.ranks[name]:.2f}\n{each[name]}" for gid, name in tips.items()}
    left_out = len(panels) - len(complete)
    caption = (
        f"Average rank by {axis_label(metric)} over {found.data_sets} data sets (1 is best). Systems joined by a bar "
        f"cannot be told apart: their ranks differ by less than {found.cd:.2f} (Nemenyi, alpha = {alpha:g}). "
        f"Friedman's test that all are alike: p = {found.friedman_p:.2g}"
        + ("" if found.friedman_p < alpha else ", so that no difference should be claimed")
        + (f"; left out: {left_out} on which a system has no value" if left_out else "")
    )
    return Drawing("critical_difference", "Critical difference", caption, figure, tips)


def _means(panel: Panel, metric: Metric) -> dict[str, float]:
    values = {
        series.name: [v for run in series.runs if (v := run.value(metric)) is not None] for series in panel.series
    }
    return {name: mean_and_spread(of)[0] for name, of in values.items() if of}


def _draw(found: CriticalDifference) -> tuple[Figure, dict[str, str]]:
    """The figure, and the names of systems by the ids of their marks. Units: average ranks, and lines of text."""
    names = list(found.ranks)
    left, right = names[: -(-len(names) // 2)], names[-(-len(names) // 2) :][::-1]
    bars = 0.45 * len(found.cliques)
    lines = len(left)
    margin = 0.09 * (min(28, max(map(width_of, names))) + 7) + 0.3  # inches on either side, for names and ranks
    width, height = 5 + 2 * margin, 0.8 + 0.27 * (bars + lines + 1)
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((margin / width, 0, 5 / width, 1))
    axes.set(xlim=(1, len(names)), ylim=(-(bars + lines + 1), 0.8 / 0.27))
    axes.axis("off")
    _scale(axes, len(names), found.cd)
    for number, clique in enumerate(found.cliques):
        level = -0.45 * (number + 1)
        ends = [found.ranks[clique[0]] - 0.04, found.ranks[clique[-1]] + 0.04]
        axes.plot(ends, [level, level], color="black", linewidth=3, solid_capstyle="round")
    tips = {}
    for side, members in (("left", left), ("right", right)):
        for line, name in enumerate(members):
            rank, level = found.ranks[name], -(bars + line + 1)
            edge = 1 - 0.02 * len(names) if side == "left" else len(names) + 0.02 * len(names)
            axes.plot([rank, rank, edge], [0, level, level], color=GREY, linewidth=0.9, clip_on=False)
            gid = f"rank-{names.index(name)}"
            axes.plot([rank], [0], "o", color="black", markersize=5, gid=gid, clip_on=False)
            tips[gid] = name
            text = f"{shortened(name, 28)} ({found.ranks[name]:.2f})"
            axes.text(edge, level, f"{text} " if side == "left" else f" {text}",
                      ha="right" if side == "left" else "left", va="center")  # fmt: skip
    return figure, tips


def _scale(axes: Axes, systems: int, cd: float) -> None:
    """The axis of ranks, and above it how long the critical difference is."""
    axes.plot([1, systems], [0, 0], color="black", linewidth=1)
    for rank in range(1, systems + 1):
        axes.plot([rank, rank], [0, 0.35], color="black", linewidth=1)
        if systems <= 15 or rank % 5 == 1:
            axes.text(rank, 0.5, str(rank), ha="center", va="bottom")
    shown = min(cd, systems - 1)
    axes.plot([1, 1 + shown], [2, 2], color="black", linewidth=1.2)
    for end in (1, 1 + shown) if shown == cd else (1,):
        axes.plot([end, end], [1.8, 2.2], color="black", linewidth=1.2)
    more = "" if shown == cd else ", longer than the axis"
    axes.text(1 + shown / 2, 2.2, f"critical difference {cd:.2f}{more}", ha="center", va="bottom")
