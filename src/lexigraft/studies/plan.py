"""Every cell of a study composed and checked before any of them runs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lexigraft.config.compose import loader
from lexigraft.config.errors import ConfigError
from lexigraft.config.schema import dotted, walk
from lexigraft.studies.cell import Cell
from lexigraft.studies.cells import Labels, cells_of, word
from lexigraft.studies.composing import Composer
from lexigraft.studies.study import Study


def plan(study: Study, overrides: Sequence[str] = ()) -> list[Cell]:
    """The cells of a study in the order of its axes, each with its resolved config; `overrides` as for `cells_of`.

    Unless a word says otherwise, `experiment` is the study's name. The cells share values, which must not be changed.
    `ConfigError` with every mistake and the cells that have it, and for two cells that are the same run.
    """
    named = [word("experiment", study.name)] if study.name else []
    cells, problems = [], dict[str, list[Labels]]()
    with loader():
        values_of = Composer(study.command)
        for labels, words in cells_of(study, overrides):
            line = (*named, *words)
            try:
                cells.append(Cell(labels, line, values_of(line)))
            except ConfigError as error:
                for problem in error.problems:
                    problems.setdefault(problem, []).append(labels)
    total = len(cells) + len({id(labels) for which in problems.values() for labels in which})
    if problems:
        raise ConfigError(*(_told(study, problem, which, total) for problem, which in problems.items()))
    if same := list(_same_runs(cells)):
        raise ConfigError(*same)
    return cells


def cell_name(labels: Mapping[str, str]) -> str:
    """`data=sst2 seed=0`."""
    return " ".join(f"{axis}={label}" for axis, label in labels.items())


def _told(study: Study, problem: str, which: Sequence[Labels], total: int) -> str:
    """A mistake and the cells that have it."""
    text = problem.replace("the command line", f"the overrides of study {study.name}".rstrip())
    if len(which) == total:
        return f"{text} (in {'every cell' if total > 1 else 'its cell'})"
    if len(which) == 1:
        return f"{text} (in cell {cell_name(which[0])})"
    return f"{text} (in {len(which):,} of {total:,} cells, the first: {cell_name(which[0])})"


def _same_runs(cells: Iterable[Cell]) -> Iterable[str]:
    """A sentence for each set of axes and keys by which cells differ that have one run folder."""
    first: dict[str, Cell] = {}
    found: dict[tuple[tuple[str, ...], tuple[str, ...]], list[tuple[Cell, Cell]]] = {}
    for cell in cells:
        other = first.setdefault(cell.id, cell)
        if other is not cell:
            axes = tuple(axis for axis in cell.labels if cell.labels[axis] != other.labels[axis])
            found.setdefault((axes, _differing(cell.values, other.values)), []).append((other, cell))
    for (axes, keys), pairs in found.items():
        one, other = pairs[0]
        more = f", and {len(pairs) - 1:,} more such pairs" if len(pairs) > 1 else ""
        why = f"only {', '.join(keys)}, which cannot change a result" if keys else "nothing of their configs"
        yield (
            f"cells {cell_name(one.labels)} and {cell_name(other.labels)} are the same run{more}: what they differ in, "
            f"{' and '.join(axes)}, changes {why}; leave one of them out by 'skip'"
        )


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys of single values that differ."""
    ours, theirs = (
        {dotted(path): value for path, value in walk(values) if not isinstance(value, (dict, list))}
        for values in (one, other)
    )
    return tuple(key for key in dict.fromkeys([*ours, *theirs]) if ours.get(key, "") != theirs.get(key, ""))
