"""Pictures of a run: the confusion matrix, the learning curve, and the curve of the learning-rate finder."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from mpl_toolkits.axes_grid1 import make_axes_locatable  # type: ignore[import-untyped]

from lexigraft.evaluation.metrics import LOWER_IS_BETTER
from lexigraft.evaluation.style import BLUE, GREEN, GREY, PURPLE, VERMILION, figure_style

# With more classes the counts would be too small to read, or the picture too large to name each class.
MOST_CLASSES_WITH_COUNTS = 30
MOST_NAMES = 150


def plot_confusion(confusion: Sequence[Sequence[int]], class_names: Sequence[str], path: Path) -> None:
    """Draw the confusion matrix `[C][C]` (rows: true class): each row as shares (colour), with its counts."""
    counts = np.asarray(confusion)
    assert counts.shape == (len(class_names), len(class_names))
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    few = len(counts) <= MOST_CLASSES_WITH_COUNTS
    side = max(3.2, 0.6 * len(counts)) if few else 0.2 * min(len(counts), MOST_NAMES)
    with figure_style():
        figure = Figure(figsize=(side, side))
        axes = figure.subplots()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        _name_classes(axes, class_names)
        if few:
            _write_counts(axes, counts, shares)
        beside = make_axes_locatable(axes).append_axes("right", size=0.15, pad=0.15)
        figure.colorbar(image, cax=beside, label="share of the true class")
        beside.spines[:].set_visible(False)
        _save(figure, path)


def plot_curve(history: Sequence[Mapping[str, float]], path: Path, metric: str = "accuracy") -> None:
    """Draw train loss and dev `metric` of a run, and mark the best epoch.

    `history` has a row per evaluation with `epoch`, `step`, `train_loss` and, per dev metric, `dev_<metric>`;
    rows without the metric (undefined there) leave a gap. Losses and errors are best at their lowest, others at their
    highest.
    """
    steps = [row["step"] for row in history]
    losses = [row["train_loss"] for row in history]
    values = np.array([row.get(f"dev_{metric}", np.nan) for row in history], dtype=float)
    with figure_style():
        figure = Figure(figsize=(6.4, 4.8))
        upper, lower = figure.subplots(2, 1, sharex=True)
        upper.plot(steps, losses, color=BLUE, marker="o", markersize=4)
        upper.set_ylabel("train loss")
        lower.plot(steps, values, color=VERMILION, marker="o", markersize=4)
        lower.set_ylabel(f"dev {metric.replace('_', ' ')}")
        lower.set_xlabel("step")
        lower.xaxis.set_major_locator(MaxNLocator(integer=True))
        if not np.isnan(values).all():
            best = int(np.nanargmin(values) if metric in LOWER_IS_BETTER else np.nanargmax(values))
            for axes in (upper, lower):
                axes.axvline(steps[best], color=GREY, linestyle=":", linewidth=1)
            lower.plot(steps[best], values[best], color=VERMILION, marker="o", markersize=8, markeredgecolor="black")
            upper.set_title(f"best: epoch {history[best]['epoch']:g}, {values[best]:.4f}", loc="left")
        for axes in (upper, lower):
            axes.grid(axis="y")
        figure.align_ylabels()
        _save(figure, path)


def plot_lr_curve(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    marks: Mapping[str, float],
    path: Path,
) -> None:
    """Draw losses over learning rates on a log axis, their smoothed curve, and a line at each named rate."""
    top, bottom = max(smoothed), min(smoothed)
    margin = 0.08 * max(top - bottom, 1e-9)
    with figure_style():
        figure = Figure(figsize=(6.4, 4.0))
        axes = figure.subplots()
        axes.plot(rates, losses, color=GREY, alpha=0.35, linewidth=0.8, label="each step")
        axes.plot(rates, smoothed, color=BLUE, linewidth=2, label="smoothed")
        for (name, rate), colour, line in zip(marks.items(), (GREEN, VERMILION, PURPLE), ("-", "--", ":")):
            axes.axvline(rate, color=colour, linestyle=line, linewidth=1.5, label=f"{name}: {rate:.1e}")
        axes.set(xscale="log", xlabel="learning rate", ylabel="train loss", ylim=(bottom - 2 * margin, top + margin))
        axes.xaxis.set_major_formatter(lambda rate, _: f"{rate:.0e}")  # the style draws no formulas such as 10^-3
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(axis="y")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
        _save(figure, path)


def _name_classes(axes: Axes, names: Sequence[str]) -> None:
    every = -(-len(names) // MOST_NAMES)
    axes.set_xticks(range(0, len(names), every), names[::every])
    axes.set_yticks(range(0, len(names), every), names[::every])
    if len(names) > MOST_CLASSES_WITH_COUNTS:
        axes.tick_params("both", labelsize=7)
        axes.tick_params("x", labelrotation=90)
    elif len(names) > 12 or max(map(len, names)) > 4:
        for label in axes.get_xticklabels():
            label.set(rotation=45, ha="right", rotation_mode="anchor")
    axes.tick_params("both", length=0)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.spines[:].set_visible(False)


def _write_counts(axes: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    size = 9 if counts.max() < 10_000 else 7
    for row, column in np.argwhere(counts > 0):
        colour = "white" if shares[row, column] > 0.55 else "black"
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour, fontsize=size)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
