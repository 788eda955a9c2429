"""What `lexigraft study --plan` prints: the axes, how much is done, what the rest may cost, and the cells."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import prod

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lexigraft.runs.state import RunState
from lexigraft.studies.cell import Cell
from lexigraft.studies.job import GOOD
from lexigraft.studies.status import STATES, duration, estimates

# So many cells are all listed; of more, the first few.
ALL, FEW = 50, 10
LONG = 60  # letters of an axis's values


def plan_table(
    cells: Sequence[Cell],
    states: Mapping[str, RunState],
    seconds: Mapping[str, float],
    *,
    repeats: Iterable[str] = (),
    jobs: int = 1,
    everything: bool = False,
) -> RenderableType:
    """A study's cells before they run; `states` and the `seconds` of finished runs by their ids.

    The cost of a cell is the median of the finished ones that share most labels with it, those of `repeats` aside.
    `jobs` run at once. `everything` lists all cells however many there are.
    """
    named = [_state(states, cell) for cell in cells]
    took = [seconds.get(cell.id) if state == "finished" else None for cell, state in zip(cells, named)]
    expected = estimates([cell.labels for cell in cells], took, repeats)
    counts = Counter(named)
    told = ", ".join(f"{counts[state]:,} {STATES[state]}" for state in STATES if counts[state])
    shown = len(cells) if everything or len(cells) <= ALL else FEW
    lines: list[RenderableType] = [_axes(cells), Text(f"{_cells(len(cells))}{_left_out(cells)}: {told}")]
    lines.append(Text(_cost([of for of, state in zip(expected, named) if state not in GOOD], jobs)))
    lines += [Text(), _listed(cells[:shown], named, expected)]
    if shown < len(cells):
        lines.append(Text(f"and {_cells(len(cells) - shown)} more; --all lists them"))
    return Group(*lines)


def _state(states: Mapping[str, RunState], cell: Cell) -> str:
    state = states.get(cell.id)
    return "new" if state is None else state.name


def _axes(cells: Sequence[Cell]) -> Table:
    """A row for each axis: its number of values, and the values."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("axis", overflow="fold")
    table.add_column("values", justify="right")
    table.add_column("", overflow="fold")
    for axis, labels in _labels(cells).items():
        text = ", ".join(labels)
        cut = text.rfind(", ", 0, LONG)
        table.add_row(
            Text(axis), f"{len(labels):,}", Text(text if len(text) <= LONG or cut < 0 else text[:cut] + " ...")
        )
    return table


def _labels(cells: Sequence[Cell]) -> dict[str, list[str]]:
    """The labels of each axis that some cell has."""
    found: dict[str, dict[str, None]] = {}
    for cell in cells:
        for axis, label in cell.labels.items():
            found.setdefault(axis, {})[label] = None
    return {axis: list(labels) for axis, labels in found.items()}


def _left_out(cells: Sequence[Cell]) -> str:
    """How many combinations `skip` left out; values that it left out altogether are not known of here."""
    skipped = prod(len(labels) for labels in _labels(cells).values()) - len(cells)
    return f" ({skipped:,} skipped)" if skipped else ""


def _cells(number: int) -> str:
    return f"{number:,} cell{'s' * (number != 1)}"


def _cost(rest: Sequence[float | None], jobs: int) -> str:
    known = [of for of in rest if of is not None]
    at_once = f"{jobs} job{'s' * (jobs > 1)}"
    if not rest:
        return "cost of the rest: nothing, all are done"
    if len(known) < len(rest):
        return f"cost of the rest: unknown until a cell has finished ({at_once} at once)"
    longest = max(sum(known) / jobs, max(known))
    return f"cost of the rest: about {duration(sum(known))} of work, {duration(longest)} with {at_once} at once"


def _listed(cells: Sequence[Cell], states: Sequence[str], expected: Sequence[float | None]) -> Table:
    """A row for each cell; the cost is what it took where it is done."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for axis in _labels(cells):
        table.add_column(Text(axis), overflow="fold")
    for heading in ("run", "state"):
        table.add_column(heading, no_wrap=True)
    table.add_column("cost", justify="right", no_wrap=True)
    for cell, state, cost in zip(cells, states, expected):
        about = "" if state in GOOD else "~"
        told = "-" if cost is None or state == "pruned" else about + duration(cost)
        table.add_row(*map(Text, cell.labels.values()), cell.id, STATES.get(state, state), told)
    return table
