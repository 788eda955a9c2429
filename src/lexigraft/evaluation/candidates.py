"""What `transplant=auto` tried, as a table for the terminal."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


def candidates_table(report: Mapping[str, Any]) -> RenderableType:
    """Of a choice: a row per method, the best first, with 95 % intervals over seeds; below, who was left out.

    "behind" is the paired difference from the best one: where its interval reaches 0, the two cannot be told apart.
    """
    seeds = len(report["seeds"])
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("transplant", overflow="fold")
    for name in (f"{report['measure']}, {report['steps']} steps", "behind the best", "covered", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in report["tried"]:
        chosen = row["method"] == report["chosen"]
        table.add_row(
            row["method"],
            _with_interval(row["mean"], row["half_width"]),
            "chosen" if chosen else _with_interval(row["behind"], row["behind_half_width"]),
            "-" if row["coverage"] is None else f"{100 * row['coverage']:.1f} %",
            f"{row['seconds']:.1f}",
        )
    lines = [Text(f"left out    {name}: {reason}") for name, reason in report["left_out"].items()]
    interval = f"± is half of the {100 * report['confidence']:.0f} % interval over {seeds} seeds" if seeds > 1 else ""
    return Group(table, *([Text(interval)] if interval else []), *lines)


def _with_interval(mean: float, half_width: float | None) -> str:
    return f"{mean:.4f}" if half_width is None else f"{mean:.4f} ± {half_width:.4f}"
