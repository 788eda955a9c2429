"""How far a study has come, what failed and why, and how long the rest may take."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import time

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lexigraft.evaluation.tables import warning_text
from lexigraft.runs.folder import LOG
from lexigraft.runs.reading import Run
from lexigraft.studies.cell import Cell
from lexigraft.studies.results import runs_of

# In the order of a cell's life, with what the terminal calls them. A crashed run's process died without a word.
STATES = {
    "finished": "done", "pruned": "pruned", "running": "running", "failed": "failed", "crashed": "crashed",
    "interrupted": "interrupted", "damaged": "damaged", "new": "left",
}  # fmt: skip
BROKEN = ("failed", "crashed", "damaged")
TO_DO = ("running", "crashed", "interrupted", "new")


@dataclass(frozen=True)
class Trouble:
    """A cell whose run did not end well; `log` where its process left one."""

    labels: Mapping[str, str]
    run: Run
    log: Path | None


@dataclass(frozen=True)
class Status:
    """Counts of cells by state (keys of `STATES`), and the cells in trouble.

    `seconds_left` is None where no cell has finished. It counts neither failed nor damaged cells, which need a hand.
    """

    counts: Mapping[str, int]
    troubles: tuple[Trouble, ...]
    seconds_left: float | None
    jobs: int  # at once, on which `seconds_left` counts
    warnings: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Cells in all."""
        return sum(self.counts.values())


def status(cells: Sequence[Cell], repeats: Iterable[str] = (), jobs: int = 1) -> Status:
    """The status of a study's cells by their run folders.

    The time left counts on as many jobs as are running now, or `jobs` where none is. Axes in `repeats` say nothing
    about how long a cell takes.
    """
    runs, warnings = runs_of(cells)
    found = Counter(run.state for run in runs)
    troubles = [
        Trouble(cell.labels, run, run.folder / LOG if (run.folder / LOG).is_file() else None)
        for cell, run in zip(cells, runs)
        if run.state in BROKEN
    ]
    at_work = found["running"] or jobs
    left = _time_left([cell.labels for cell in cells], runs, repeats, at_work)
    counts = {state: found[state] for state in STATES if found[state]}
    return Status(counts, tuple(troubles), left, at_work, tuple(warnings))


def estimates(
    labels: Sequence[Mapping[str, str]], seconds: Sequence[float | None], repeats: Iterable[str] = ()
) -> list[float | None]:
    """How long each cell takes: what it took, else the median over the finished ones that share most labels with it.

    None throughout where none has finished.
    """
    axes = [axis for axis in dict.fromkeys(axis for each in labels for axis in each) if axis not in set(repeats)]
    places = [tuple(each.get(axis, "") for axis in axes) for each in labels]
    took: dict[tuple[str, ...], list[float]] = {}
    for place, of in zip(places, seconds):
        if of is not None:
            took.setdefault(place, []).append(of)
    if not took:
        return [None] * len(labels)
    numbers: dict[str, int] = {}
    known = _numbered(list(took), numbers)
    nearest: dict[tuple[str, ...], float] = {}
    for place in dict.fromkeys(place for place, of in zip(places, seconds) if of is None):
        shared = (known == _numbered([place], numbers)).sum(axis=1)
        like = np.flatnonzero(shared == shared.max())
        samples = list(took.values())
        nearest[place] = median([of for i in like for of in samples[i]])
    return [nearest[place] if of is None else of for place, of in zip(places, seconds)]


def status_text(status: Status) -> RenderableType:
    """For the terminal: a line of counts, the time left, and a row for each cell in trouble."""
    counts = ", ".join(f"{count:,} {STATES[state]}" for state, count in status.counts.items())
    lines: list[RenderableType] = [Text(f"{status.total:,} cells: {counts}")]
    if any(status.counts.get(state) for state in TO_DO):
        jobs = f"{status.jobs} job{'s' * (status.jobs > 1)}"
        told = "unknown until a cell has finished" if status.seconds_left is None else duration(status.seconds_left)
        lines.append(Text(f"time left: {told}" + (f" with {jobs}" if status.seconds_left is not None else "")))
    lines += [warning_text(warning) for warning in status.warnings]
    if status.troubles:
        table = Table(box=None, pad_edge=False)
        for heading in ("cell", "state", "why"):
            table.add_column(heading, overflow="fold")
        for trouble in status.troubles:
            name = " ".join(f"{axis}={label}" for axis, label in trouble.labels.items())
            why = (trouble.run.error or "its process died").strip().splitlines()[0]
            where = f"\n{trouble.log}" if trouble.log else ""
            table.add_row(Text(name), trouble.run.state, Text(why + where))
        lines += [Text(), table]
    return Group(*lines)


def duration(seconds: float) -> str:
    """45 s, 12 min, 3 h 05 min, 2 days 4 h."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    days, hours = divmod(round(minutes / 60), 24)
    return f"{days} day{'s' * (days > 1)} {hours} h"


def _numbered(places: Sequence[tuple[str, ...]], numbers: dict[str, int]) -> np.ndarray:
    """Labels as numbers `[places, axes]`, which compare quickly."""
    rows = [[numbers.setdefault(label, len(numbers)) for label in place] for place in places]
    return np.array(rows, np.int64).reshape(len(places), -1)


def _time_left(
    labels: Sequence[Mapping[str, str]], runs: Sequence[Run], repeats: Iterable[str], jobs: int
) -> float | None:
    expected = estimates(labels, [run.seconds if run.state == "finished" else None for run in runs], repeats)
    rest: dict[str, float] = {}  # by run, which cells may share
    for run, seconds in zip(runs, expected):
        if run.state in TO_DO:
            if seconds is None:
                return None
            done = max(0.0, time() - run.started) if run.state == "running" and run.started is not None else 0.0
            rest[run.id] = max(0.0, seconds - done)
    return max(sum(rest.values()) / jobs, max(rest.values())) if rest else 0.0
