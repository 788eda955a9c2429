"""A figure of a report with what is told of it, and its files: PDF, SVG and PNG, the same bytes each time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unicodedata import east_asian_width

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lexigraft.evaluation.style import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION, figure_style
from lexigraft.studies.metric import Metric

# The order in which systems are coloured; further ones take a colour again with the next marker and line.
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, GREY)
MARKERS = ("o", "s", "^", "D", "v")
LINES = ("-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)))


@dataclass(frozen=True)
class Drawing:
    """`name` is the stem of its files; `tips` says by the id of a mark what is shown where one points at it."""

    name: str
    title: str
    caption: str
    figure: Figure
    tips: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Look:
    """How a system is drawn in every panel."""

    color: str
    marker: str
    linestyle: Any


def look(index: int) -> Look:
    """The look of the system of that number."""
    further = index // len(COLOURS)
    return Look(COLOURS[index % len(COLOURS)], MARKERS[further % len(MARKERS)], LINES[further % len(LINES)])


def save(drawing: Drawing, folder: Path) -> list[Path]:
    """Write `<folder>/<name>.pdf`, `.svg` and `.png`, without the time; all but the PNG have no background."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with figure_style(), matplotlib.rc_context({"svg.hashsalt": drawing.name, "savefig.bbox": None}):
        if engine := drawing.figure.get_layout_engine():  # once, not for every file
            engine.execute(drawing.figure)
            drawing.figure.set_layout_engine("none")
        for kind, metadata in (
            ("pdf", {"CreationDate": None}),
            ("svg", {"Date": None}),
            ("png", {"Software": None}),
        ):
            path = folder / f"{drawing.name}.{kind}"
            drawing.figure.savefig(path, metadata=metadata, transparent=kind != "png")
            written.append(path)
    return written


def panel_grid(count: int, width: float, height: float, columns: int = 3, **shared: Any) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels of that size in inches, `columns` of them side by side, and its axes."""
    width *= 1.5 if count == 1 else 1
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **shared).ravel().tolist()
    for unused in axes[count:]:
        unused.remove()
    return figure, axes[:count]


def first_column(axes: Axes) -> bool:
    """Whether a panel stands on the left."""
    place = axes.get_subplotspec()
    return place is not None and place.is_first_col()


def last_row(axes: Axes) -> bool:
    """Whether a panel stands at the bottom."""
    place = axes.get_subplotspec()
    return place is not None and place.is_last_row()


def legend_below(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend for all panels, below them and with room of its own; none where all that is drawn has one name."""
    handles = {label: handle for of in axes for handle, label in zip(*of.get_legend_handles_labels()) if label}
    if len(handles) < 2:
        return
    width = 0.55 + 0.085 * max(map(width_of, handles))  # inches: the mark, and letters of the style's size
    columns = max(1, min(4, len(handles), int(figure.get_figwidth() / width)))
    figure.set_figheight(figure.get_figheight() + 0.23 * -(-len(handles) // columns))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=columns, columnspacing=1.5)


def axis_label(metric: Metric) -> str:
    """`accuracy (%)`; of a label that says its unit, the label."""
    return f"{metric.label} ({metric.unit})" if metric.unit and metric.unit not in metric.label else metric.label


def width_of(text: str) -> int:
    """Of a text in letters: those of Chinese count twice."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def shortened(text: str, width: int) -> str:
    """A text of at most that width, cut with an ellipsis."""
    if width_of(text) <= width:
        return text
    while width_of(text) > width - 1:
        text = text[:-1]
    return f"{text}…"


def mean_and_spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and standard deviation (n - 1), which one value lacks."""
    of = np.asarray(values, dtype=float)
    return float(of.mean()), float(of.std(ddof=1)) if len(of) > 1 else None


def told(values: Sequence[float], digits: int = 4) -> str:
    """`81.23 ± 0.41 (81.64, 80.82)`: mean, standard deviation, and the values of the runs."""
    mean, spread = mean_and_spread(values)
    if spread is None:
        return f"{mean:.{digits}f} (one run)"
    return f"{mean:.{digits}f} ± {spread:.{digits}f} ({', '.join(f'{value:.{digits}f}' for value in values)})"
