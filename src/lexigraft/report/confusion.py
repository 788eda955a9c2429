"""Confusion matrices of the systems: shares of the true class, mean over repeats."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lexigraft.evaluation.style import figure_style
from lexigraft.report.drawing import Drawing, first_column, last_row, shortened, width_of
from lexigraft.report.runs import Panel, Series

MOST_MATRICES, MOST_CLASSES, MOST_CLASSES_WITH_NUMBERS = 12, 60, 15


def confusion_matrices(panels: Sequence[Panel], split: str) -> Drawing | None:
    """A matrix per system and panel, rows normalised to the true class, then averaged over runs; None without any.

    At most `MOST_MATRICES` of at most `MOST_CLASSES` classes: more can not be read side by side.
    """
    found = [
        (panel.name, series, names, mean)
        for panel in panels
        for series in panel.series
        for names, mean in [_mean_matrix(series, split)]
        if 0 < len(names) <= MOST_CLASSES
    ]
    if not found:
        return None
    shown = found[:MOST_MATRICES]
    tips: dict[str, str] = {}
    largest = max(len(names) for _, _, names, _ in shown)
    side = 1.6 + (0.42 if largest <= MOST_CLASSES_WITH_NUMBERS else 0.16) * largest
    columns = min(len(shown), _side_by_side(panels), max(1, int(18 / side)))
    rows = -(-len(shown) // columns)
    with figure_style():
        figure = Figure(figsize=(side * columns + 0.8, side * rows), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
        for unused in grid[len(shown) :]:
            unused.remove()
        for number, (axes, (panel, series, names, mean)) in enumerate(zip(grid, shown)):
            counted = f"{len(series.runs)} run{'s' * (len(series.runs) > 1)}"
            where = ", ".join(filter(None, (panel, series.name, counted)))
            tips |= _draw(axes, mean, names, f"confusion-{number}", where)
            axes.set_title("\n".join(filter(None, (panel, series.name))), fontsize=10)
        shares = ScalarMappable(Normalize(0, 1), cmap="Blues")
        bar = figure.colorbar(shares, ax=grid[: len(shown)], label="share of the true class", fraction=0.03, pad=0.02)
        bar.outline.set_visible(False)
    some = f"; the first {MOST_MATRICES} of {len(found)}" if len(found) > MOST_MATRICES else ""
    caption = f"Confusion on {split}, row by row the shares of the true class, mean over the runs of a system{some}"
    return Drawing("confusion", "Confusion", caption, figure, tips)


def _side_by_side(panels: Sequence[Panel]) -> int:
    """At most four, such that the systems of a panel stand in one line."""
    most = max(len(panel.series) for panel in panels)
    return 4 - 4 % most if most <= 4 else 4


def _mean_matrix(series: Series, split: str) -> tuple[list[str], np.ndarray]:
    """Class names and mean shares `[C, C]`; of runs whose classes are those of the first."""
    found: list[np.ndarray] = []
    names: list[str] = []
    for run in series.runs:
        of = run.of_split(split)
        if not of.get("confusion") or not of.get("per_class"):
            continue
        names = names or list(of["per_class"])
        counts = np.asarray(of["confusion"], dtype=float)
        if list(of["per_class"]) == names and counts.shape == (len(names), len(names)):
            found.append(counts / counts.sum(axis=1, keepdims=True).clip(min=1))
    return (names, np.mean(found, axis=0)) if found else ([], np.zeros((0, 0)))


def _draw(axes: Axes, shares: np.ndarray, names: Sequence[str], prefix: str, where: str) -> dict[str, str]:
    """Draw a matrix; what is told of each cell, by its id. One of many classes is an image, which tells nothing."""
    few, tips = len(names) <= MOST_CLASSES_WITH_NUMBERS, {}
    if not few:
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    for row, column in np.ndindex(*shares.shape) if few else ():
        share, gid = float(shares[row, column]), f"{prefix}-{row}-{column}"
        colour = to_hex(colormaps["Blues"](share))
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=colour, linewidth=0, gid=gid))
        tips[gid] = f"{where}\ntrue {names[row]}, predicted {names[column]}: {100 * share:.1f} %"
        if share >= 0.005:
            colour = "white" if share > 0.55 else "#111111"
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=colour, size=8)
    axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5), aspect="equal")
    size = 8 if few else 6
    short = [shortened(name, 12) for name in names]
    axes.set_xticks(range(len(names)), short, fontsize=size)
    axes.set_yticks(range(len(names)), short, fontsize=size)
    if len(names) > 6 or max(map(width_of, short)) > 4:
        for label in axes.get_xticklabels():
            label.set(rotation=45 if few else 90, ha="right", rotation_mode="anchor")
            if not few:
                label.set(va="center")
    axes.tick_params("both", length=0)
    axes.set(xlabel="predicted" if last_row(axes) else "", ylabel="true" if first_column(axes) else "")
    axes.spines[:].set_visible(False)
    return tips
