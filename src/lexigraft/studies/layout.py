"""Where each record of a study stands in its table: rows, columns, and the axes that are averaged."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lexigraft.config.errors import ConfigError, did_you_mean, nearest
from lexigraft.studies.cells import places
from lexigraft.studies.results import Record, Results
from lexigraft.studies.study import Study
from lexigraft.studies.table import Place


@dataclass(frozen=True)
class Layout:
    """Records by row and column, in the study's order; a run that cells of one place share is there once."""

    row_axes: tuple[str, ...]
    column_axes: tuple[str, ...]
    averaged: tuple[str, ...]
    rows: tuple[Place, ...]
    columns: tuple[Place, ...]
    records: Mapping[tuple[Place, Place], tuple[Record, ...]]

    def pairing(self, record: Record) -> Place:
        """What runs of two places must have in common to be a pair: their labels on the averaged axes."""
        return tuple(record.labels.get(axis, "") for axis in self.averaged)


def layout(study: Study, results: Results) -> Layout:
    """As `table` says; without it, all axes but the repeats are rows. `ConfigError` for an axis that there is not."""
    axes = results.axes
    rows, columns = tuple(study.table.rows), tuple(study.table.columns)
    if unknown := [axis for axis in (*rows, *columns) if axis not in axes]:
        raise ConfigError(*(f"table: the study has no axis '{axis}'{_hint(axis, axes)}" for axis in unknown))
    if twice := [axis for axis in rows if axis in columns]:
        raise ConfigError(f"table: the axis '{twice[0]}' is given as rows and as columns; choose one")
    if not rows:
        rows = tuple(axis for axis in axes if axis not in columns and axis not in study.repeats)
    rank = _ranks(study, results)
    found: dict[tuple[Place, Place], dict[str, Record]] = defaultdict(dict)
    for record in results.records:
        at = tuple(record.labels[axis] for axis in rows), tuple(record.labels[axis] for axis in columns)
        found[at].setdefault(record.id, record)

    def ordered(axes: Sequence[str], of: set[Place]) -> tuple[Place, ...]:
        return tuple(sorted(of, key=lambda place: [rank[axis, label] for axis, label in zip(axes, place)]))

    return Layout(
        rows,
        columns,
        tuple(axis for axis in axes if axis not in rows and axis not in columns),
        ordered(rows, {row for row, _ in found}),
        ordered(columns, {column for _, column in found}),
        {at: tuple(records.values()) for at, records in found.items()},
    )


def _ranks(study: Study, results: Results) -> dict[tuple[str, str], int]:
    """The place of each label on its axis: the study file's, then those of the command line as the cells have them."""
    known = {(axis, label): None for axis, values in study.axes.items() for label in places(axis, values)}
    known |= {of: None for record in results.records for of in record.labels.items()}
    return {of: i for i, of in enumerate(known)}


def _hint(axis: str, axes: Sequence[str]) -> str:
    return did_you_mean(*nearest(axis, axes)) or f"; it has {', '.join(axes)}"
