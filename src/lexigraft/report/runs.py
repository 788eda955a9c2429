"""What a report reads of a study's runs, and how they are put side by side."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lexigraft.runs.folder import RunFolder, read_json
from lexigraft.runs.identity import identity
from lexigraft.runs.reading import Run
from lexigraft.studies.cell import Cell
from lexigraft.studies.metric import Metric
from lexigraft.studies.results import Results


@dataclass(frozen=True)
class CellRun:
    """The run of a cell: its place on the axes, what the index knows of it, and, once finished, its result.json."""

    labels: Mapping[str, str]
    run: Run
    result: Mapping[str, Any] = field(default_factory=dict, repr=False)
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def finished(self) -> bool:
        return self.run.state == "finished"

    def value(self, metric: Metric) -> float | None:
        """A metric as it is shown (per cent where it is a share); None where the run has none."""
        raw = self.run.metrics.get(metric.name)
        return None if raw is None else metric.scaled(raw)

    def of_split(self, split: str) -> Mapping[str, Any]:
        """All that was measured on a split, tables of classes too."""
        return self.result.get("metrics", {}).get(split, {})


@dataclass(frozen=True)
class Series:
    """The finished runs of one system, which differ in the repeats alone."""

    name: str
    runs: tuple[CellRun, ...]


@dataclass(frozen=True)
class Panel:
    """One row of the table: the systems that are compared on one task."""

    name: str
    series: tuple[Series, ...]


def read_runs(results: Results) -> list[CellRun]:
    """The run of each cell, which need not have been started; one that cells share is read once."""
    read: dict[Path, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
    found = []
    for record in results.records:
        run = record.run
        if record.finished and run.folder not in read:
            folder = RunFolder(run.folder)
            made_with = read_json(folder.provenance) if folder.provenance.is_file() else {}
            read[run.folder] = read_json(folder.result), made_with
        found.append(CellRun(record.labels, run, *read.get(run.folder, ())))
    return found


def data_axes(cells: Sequence[Cell]) -> list[str]:
    """The axes whose labels stand for other texts each: cells of two labels never have the same config of data."""
    texts = [json.dumps(identity(cell.values).get("data"), sort_keys=True, default=str) for cell in cells]
    found = []
    for axis in dict.fromkeys(axis for cell in cells for axis in cell.labels):
        of_label: dict[str, set[str]] = {}
        for cell, text in zip(cells, texts):
            of_label.setdefault(cell.labels.get(axis, ""), set()).add(text)
        if len(of_label) > 1 and len(set.union(*of_label.values())) == sum(map(len, of_label.values())):
            found.append(axis)
    return found


def panels_of(runs: Iterable[CellRun], rows: Sequence[str], repeats: Sequence[str]) -> list[Panel]:
    """Finished runs by their labels on the axes `rows`, then by those on the others that are no `repeats`.

    An axis on which all runs have one label names nothing; without `rows` there is one panel.
    """
    runs = list(runs)
    axes = dict.fromkeys(axis for run in runs for axis in run.labels)
    varying = [axis for axis in axes if len({run.labels.get(axis) for run in runs}) > 1]
    of_panel = [axis for axis in varying if axis in rows]
    of_series = [axis for axis in varying if axis not in rows and axis not in repeats]
    grouped: dict[str, dict[str, list[CellRun]]] = {}
    for run in runs:
        series = grouped.setdefault(_name(run, of_panel), {}).setdefault(_name(run, of_series), [])
        if run.finished:
            series.append(run)
    return [
        Panel(name, tuple(Series(of, tuple(members)) for of, members in series.items() if members))
        for name, series in grouped.items()
        if any(series.values())
    ]


def series_names(panels: Iterable[Panel]) -> list[str]:
    """The systems of all panels, each once; a system's place here decides its colour."""
    return list(dict.fromkeys(series.name for panel in panels for series in panel.series))


def _name(run: CellRun, axes: Sequence[str]) -> str:
    return ", ".join(str(run.labels[axis]) for axis in axes if axis in run.labels)
