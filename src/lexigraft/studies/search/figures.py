"""Pictures of a search: how its best value rose, what it traded for what, and which keys mattered."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lexigraft.evaluation.style import BLUE, GREY, VERMILION, figure_style
from lexigraft.studies.search.objective import Objective


def plot_history(trials: Sequence[Mapping[str, Any]], objective: Objective, path: Path) -> None:
    """Draw the first objective of each finished trial (rows of `trials.row`), the best so far as a line, and mark the
    best; trials that were pruned stand at their last epoch's value, and those that failed on the axis.
    """
    finished = [trial for trial in trials if trial["state"] == "complete"]
    pruned = [trial for trial in trials if trial["state"] == "pruned" and trial["epochs"]]
    failed = [trial for trial in trials if trial["state"] == "fail"]
    numbers = np.array([trial["number"] for trial in finished])
    values = np.array([trial["values"][0] for trial in finished])
    lower = objective.direction == "minimize"
    with figure_style():
        figure = Figure(figsize=(6.4, 4.0))
        axes = figure.subplots()
        axes.plot(numbers, values, "o", color=BLUE, markersize=5, alpha=0.7, label="trial", linestyle="none")
        if pruned:
            last = [list(trial["epochs"].values())[-1] for trial in pruned]
            at = [trial["number"] for trial in pruned]
            axes.plot(at, last, "x", color=GREY, markersize=5, label="pruned", linestyle="none")
        best = np.minimum.accumulate(values) if lower else np.maximum.accumulate(values)
        axes.step(numbers, best, where="post", color=VERMILION, linewidth=1.8, label="best so far")
        winner = int(np.argmin(values) if lower else np.argmax(values))
        axes.plot(numbers[winner], values[winner], "o", color=VERMILION, markersize=9, markeredgecolor="black")
        if failed:
            at = [trial["number"] for trial in failed]
            axes.plot(
                at, np.zeros(len(at)), "|", color="black", markersize=10, label="failed", linestyle="none",
                transform=axes.get_xaxis_transform(), clip_on=False,
            )  # fmt: skip
        axes.set(xlabel="trial", ylabel=objective.label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
        axes.set_title(f"best: trial {numbers[winner]}, {_number(values[winner])}", loc="left", pad=28)
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=4)
        _save(figure, path)


def plot_front(trials: Sequence[Mapping[str, Any]], objectives: Sequence[Objective], path: Path) -> None:
    """Draw each finished trial by its first two objectives, and join those that no other beats in both."""
    finished = np.array([trial["values"][:2] for trial in trials if trial["state"] == "complete"])
    signs = np.array([1.0 if of.direction == "minimize" else -1.0 for of in objectives[:2]])
    costs = finished * signs
    beaten = np.array([np.any(np.all(costs <= own, axis=1) & np.any(costs < own, axis=1)) for own in costs])
    front = finished[~beaten]
    front = front[np.argsort(front[:, 1], kind="stable")]
    with figure_style():
        figure = Figure(figsize=(6.4, 4.0))
        axes = figure.subplots()
        axes.plot(*finished[beaten].T[::-1], "o", color=BLUE, markersize=5, alpha=0.6, label="trial", linestyle="none")
        axes.plot(*front.T[::-1], "o-", color=VERMILION, markersize=7, linewidth=1.2, label="not beaten in both")
        axes.set(xlabel=objectives[1].label, ylabel=objectives[0].label)
        axes.xaxis.set_major_formatter(lambda number, _: f"{number:,g}")
        axes.grid()
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2)
        _save(figure, path)


def plot_importances(importances: Mapping[str, float], path: Path) -> None:
    """Draw the share of each key in what tells good trials from others (PED-ANOVA), the largest on top."""
    names = list(importances)[::-1]
    shares = [importances[name] for name in names]
    with figure_style():
        figure = Figure(figsize=(6.4, 0.8 + 0.36 * len(names)))
        axes = figure.subplots()
        bars = axes.barh(names, shares, color=BLUE, height=0.65)
        axes.bar_label(bars, labels=[f"{share:.0%}" for share in shares], padding=4)
        axes.set(xlim=(0, max(*shares, 0.1) * 1.15), xticks=[])
        axes.set_title("importance of each key (PED-ANOVA)", loc="left")
        _bare(axes)
        _save(figure, path)


def _bare(axes: Axes) -> None:
    axes.spines["bottom"].set_visible(False)
    axes.tick_params("y", length=0)


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.0f}"


def _save(figure: Figure, path: Path) -> None:
    """As PNG and as PDF, whatever the ending of `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for ending in (".png", ".pdf"):
        figure.savefig(path.with_suffix(ending))
