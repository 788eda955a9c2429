"""F1 of each class: mean and spread over the repeats of each system."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from lexigraft.evaluation.style import figure_style
from lexigraft.report.drawing import Drawing, legend_below, look, mean_and_spread, panel_grid, shortened, told
from lexigraft.report.runs import Panel, Series, series_names

MOST_PANELS, MOST_CLASSES = 9, 40


def per_class_f1(panels: Sequence[Panel], split: str) -> Drawing | None:
    """A dot per class and system, with a whisker of one standard deviation; None where no run counted classes.

    Of many classes the `MOST_CLASSES` with the most texts are shown.
    """
    shown = [(panel, classes) for panel in panels if (classes := _classes(panel, split))][:MOST_PANELS]
    if not shown:
        return None
    names = series_names(panels)
    tips: dict[str, str] = {}
    most = max(len(classes) for _, classes in shown)
    systems = max(len(panel.series) for panel, _ in shown)
    with figure_style():
        height = 1.1 + min(MOST_CLASSES, most) * min(0.9, max(0.24, 0.09 * systems))
        figure, all_axes = panel_grid(len(shown), 4.6, height)
        for number, (axes, (panel, classes)) in enumerate(zip(all_axes, shown)):
            _name(axes, classes)
            for at, series in enumerate(panel.series):
                shift = 0.7 * ((at + 0.5) / len(panel.series) - 0.5)
                said = _draw(axes, series, names.index(series.name), classes, split, shift, f"class-{number}")
                where = ", ".join(filter(None, (panel.name, series.name)))
                tips |= {gid: f"{where}\n{text}".strip() for gid, text in said.items()}
            axes.set(title=panel.name, xlabel=f"F1 on {split} (%)")
        legend_below(figure, all_axes)
    some = f", the {MOST_CLASSES} classes with the most texts" if most == MOST_CLASSES else ""
    caption = f"F1 of each class on {split}{some}: mean over the runs of a system, whisker ± one standard deviation"
    return Drawing("per_class_f1", "F1 by class", caption, figure, tips)


def _draw(
    axes: Axes, series: Series, place: int, classes: Sequence[str], split: str, shift: float, prefix: str
) -> dict[str, str]:
    """Draw the dots of a system; what is told of each, by its id."""
    style, tips, label = look(place), {}, series.name
    for row, name in enumerate(classes):
        if not (values := _values(series, split, name)):
            continue
        mean, spread = mean_and_spread(values)
        gid = f"{prefix}-{place}-{row}"
        axes.plot([mean - (spread or 0), mean + (spread or 0)], [row + shift] * 2, color=style.color)
        axes.plot([mean], [row + shift], style.marker, color=style.color, markersize=5, gid=gid, label=label)
        tips[gid] = f"{name}: F1 {told(values, 2)}"
        label = ""
    return tips


def _classes(panel: Panel, split: str) -> list[str]:
    """Class names in their order; of too many, those with the most texts."""
    support: dict[str, int] = {}
    for series in panel.series:
        for run in series.runs:
            per_class = run.of_split(split).get("per_class", {})
            support |= {name: of.get("support", 0) for name, of in per_class.items() if of.get("f1") is not None}
    kept = set(sorted(support, key=lambda name: -support[name])[:MOST_CLASSES])
    return [name for name in support if name in kept]


def _values(series: Series, split: str, of_class: str) -> list[float]:
    found = (run.of_split(split).get("per_class", {}).get(of_class, {}) for run in series.runs)
    return [100 * of["f1"] for of in found if of.get("f1") is not None]


def _name(axes: Axes, classes: Sequence[str]) -> None:
    axes.set_yticks(range(len(classes)), [shortened(name, 24) for name in classes])
    axes.set_ylim(len(classes) - 0.5, -0.5)
    axes.tick_params("y", length=0)
    axes.grid(axis="x")
    for border in range(1, len(classes)):
        axes.axhline(border - 0.5, color="#e6e6e6", linewidth=0.6)
