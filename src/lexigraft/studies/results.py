"""What a study's cells came to: one tidy record for each, and what makes them hard to compare."""

import csv
import io
import json
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lexigraft.config.errors import ConfigError, did_you_mean, nearest
from lexigraft.runs.folder import write_text
from lexigraft.runs.index import Index, refresh
from lexigraft.runs.reading import Run
from lexigraft.studies.cell import Cell


@dataclass(frozen=True)
class Record:
    """A cell and its run; `values` holds the wanted metrics by name, None where there is no such number (yet)."""

    labels: Mapping[str, str]
    run: Run
    values: Mapping[str, float | None]

    @property
    def id(self) -> str:
        """The run's, which cells may share."""
        return self.run.id

    @property
    def finished(self) -> bool:
        """Whether its values count."""
        return self.run.state == "finished"


@dataclass(frozen=True)
class Results:
    """A record per cell, in the order of the cells; sentences about what a reader of the numbers must know."""

    metrics: tuple[str, ...]
    records: tuple[Record, ...]
    warnings: tuple[str, ...] = field(default=())

    @property
    def axes(self) -> tuple[str, ...]:
        """Of the cells, in the study's order."""
        return tuple(dict.fromkeys(axis for record in self.records for axis in record.labels))


def read_results(cells: Sequence[Cell], metrics: Sequence[str]) -> Results:
    """The records of a study, read from the run folders.

    `metrics` are names as in `Run.metrics`. `ConfigError` for one that no finished run of the study has.
    """
    runs, warnings = runs_of(cells)
    finished = [run for run in runs if run.state == "finished"]
    _require_known(metrics, finished)
    records = tuple(
        Record(cell.labels, run, {name: run.metrics.get(name) if run.state == "finished" else None for name in metrics})
        for cell, run in zip(cells, runs)
    )
    done = [(cell, run) for cell, run in zip(cells, runs) if run.state == "finished"]
    return Results(tuple(metrics), records, (*warnings, *_cautions(done)))


def runs_of(cells: Sequence[Cell]) -> tuple[list[Run], list[str]]:
    """The run of each cell, and what was wrong with the indexes of their output roots."""
    roots = dict.fromkeys(str(cell.values["output_root"]) for cell in cells)
    indexes: dict[str, Index] = {root: refresh(Path(root)) for root in roots}
    warnings = [warning for index in indexes.values() for warning in index.warnings]
    return [indexes[str(cell.values["output_root"])].run(cell.id) for cell in cells], warnings


def write_records(results: Results, path: Path) -> None:
    """A CSV with a row per cell: its labels, run id, state, wanted metrics in full, seconds, and what made it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    axes = results.axes
    writer.writerow([*axes, "run", "state", *results.metrics, "seconds", "device", "precision", "commit", "code"])
    for record in results.records:
        run = record.run
        labels = (record.labels.get(axis, "") for axis in axes)
        values = (record.values[name] for name in results.metrics)
        writer.writerow(
            [*labels, run.id, run.state, *values, run.seconds, run.device, run.precision, run.commit, run.code]
        )
    write_text(path, text.getvalue())


def _require_known(metrics: Iterable[str], finished: Sequence[Run]) -> None:
    known = dict.fromkeys(name for run in finished for name in run.metrics)
    unknown = [name for name in metrics if name not in known] if finished else []
    if unknown:
        raise ConfigError(*(_unknown(name, list(known)) for name in unknown))


def _unknown(name: str, known: Sequence[str]) -> str:
    siblings = [other for other in known if other.partition("/")[0] == name.partition("/")[0]]
    choices = siblings or known
    hint = did_you_mean(*nearest(name, choices)) or f"; choose one of {', '.join(choices)}"
    return f"metrics: no finished run of this study has '{name}'{hint}"


def _cautions(done: Sequence[tuple[Cell, Run]]) -> Iterator[str]:
    """Why numbers of these runs may differ by other things than the study's axes."""
    states = Counter((run.code, run.commit) for _, run in done)
    if len({code for code, _ in states}) > 1:
        told = ", ".join(f"{count} by {_code(*of)}" for of, count in states.most_common())
        yield f"the runs were made by different code: {told}; run the older ones again with rerun=true"
    for what, groups in (
        ("on different devices", _several(("", _kind(run.device)) for _, run in done)),
        ("in different precisions", _several((_precision(cell), run.precision) for cell, run in done)),
    ):
        for counts in groups:
            told = ", ".join(f"{count} {name}" for name, count in counts.most_common())
            yield f"the runs were made {what}: {told}"
    changed = list(_several((_texts(cell.values), run.data) for cell, run in done))
    if changed:
        yield (
            f"the texts of the same data config changed between runs ({sum(map(len, changed))} fingerprints of "
            f"{len(changed)} data config{'s' * (len(changed) > 1)}): run those again that were made before"
        )


def _several(pairs: Iterable[tuple[Hashable, Any]]) -> Iterator[Counter[Any]]:
    """The counts of values, of the groups that have several."""
    groups: dict[Hashable, Counter[Any]] = defaultdict(Counter)
    for group, value in pairs:
        if value is not None:
            groups[group][value] += 1
    return (counts for counts in groups.values() if len(counts) > 1)


def _code(code: str | None, commit: str | None) -> str:
    if code is None:
        return "unknown code"
    return f"{code[:8]} (commit {commit[:8]})" if commit else code[:8]


def _kind(device: str | None) -> str | None:
    """cuda of cuda:1."""
    return device.partition(":")[0] if device else None


def _precision(cell: Cell) -> Any:
    """As configured: a study may have an axis of precisions, but "auto" should have become the same everywhere."""
    return (cell.values.get("hardware") or {}).get("precision")


def _texts(values: Mapping[str, Any]) -> str:
    """The part of a config that decides which texts a run has: where it draws some of them, the seed too."""
    parts: dict[str, Any] = {key: values.get(key) for key in _OF_TEXTS}
    parts["data"] = {key: of for key, of in (parts["data"] or {}).items() if key != "root"}
    subset = parts["subset"] or {}
    cut = any(subset.get(key) is not None for key in ("per_class", "share", "number")) and subset.get("seed") is None
    if cut or parts["augment_texts"]:
        parts["seed"] = values.get("seed")
    return json.dumps(parts, sort_keys=True, default=str)


_OF_TEXTS = ("data", "cleaning", "subset", "augment_texts", "auxiliary", "task")
