"""What the runs below an output root came to, read once: an SQLite file beside them that only saves reading again.

The folders are the truth. The index may be deleted, damaged, locked or impossible to write: then folders are read.
"""

import json
import os
import sqlite3
import zlib
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from lexigraft.runs.reading import DAMAGED, Run, read_run, stamp
from lexigraft.runs.state import held

RUNS, INDEX = "runs", "index.sqlite"


@dataclass(frozen=True)
class Index:
    """The runs of an output root by id, in the order of their ids; and why its index file could not be used."""

    root: Path
    runs: Mapping[str, Run]
    warnings: tuple[str, ...] = ()
    read: int = field(default=0, compare=False)  # folders that had to be read; the others were in the file

    def run(self, id: str) -> Run:
        """The run; one of state "new" where it has no folder."""
        return self.runs.get(id) or Run(id, self.root / RUNS / id)


def refresh(root: Path) -> Index:
    """The runs of `<root>/runs`; only those are read that changed since the index file was written, which is renewed.

    A run changed when the size, time or inode of its status.json or result.json did. One that says it is running is
    "crashed" where nobody holds it. What is wrong with a folder stands in its `Run`; what is wrong with the index file
    is among the `warnings`. Nothing is raised, and any number of processes may refresh at once.
    """
    folder = root / RUNS
    known, problem = _load(folder / INDEX)
    found, stamps, changed = {}, {}, []
    for id in _ids(folder):
        path = folder / id
        stamps[id] = stamp(str(path))
        run = _known(id, path, known[id][1]) if id in known and known[id][0] == stamps[id] else None
        if run is None:
            changed.append(id)
        found[id] = run or read_run(path)
    if not problem or not (folder / INDEX).exists():
        rows = [(id, stamps[id], _content(found[id])) for id in changed if found[id].state != DAMAGED]
        gone = [id for id in known if id not in found or found[id].state == DAMAGED]
        if rows or gone:
            problem = _store(folder / INDEX, rows, gone) or problem
    alive = {id: _alive(run) for id, run in found.items()}
    return Index(root, alive, (problem,) if problem else (), len(changed))


def _ids(folder: Path) -> list[str]:
    """The names of the run folders, in order; nothing else is one."""
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if len(e.name) == 16 and _HEX.issuperset(e.name) and e.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _alive(run: Run) -> Run:
    """A run whose process died is crashed; where its lock cannot be tried (another's files), it is believed."""
    try:
        return replace(run, state="crashed") if run.state == "running" and not held(run.folder) else run
    except OSError:
        return run


def _known(id: str, path: Path, content: str) -> Run | None:
    """The run as it was stored; None for what is no such row."""
    try:
        return Run(id, path, **json.loads(content))
    except (ValueError, TypeError):
        return None


def _content(run: Run) -> str:
    values = {name: of for name, of in vars(run).items() if name not in ("id", "folder")}
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def _load(file: Path) -> tuple[dict[str, tuple[str, str]], str | None]:
    """Stamps and contents by id, and why there are none; a damaged file is removed, since folders hold all of it."""
    try:
        if not file.is_file():
            return {}, None
        with closing(sqlite3.connect(file, timeout=_PATIENCE)) as base:
            if base.execute("PRAGMA user_version").fetchone()[0] != _FORMAT:
                return {}, None
            return {id: (seen, content) for id, seen, content in base.execute("SELECT * FROM runs")}, None
    except (sqlite3.Error, OSError) as error:
        if type(error) is not sqlite3.DatabaseError:  # "database is locked" and the like are of a kind below it
            return {}, f"the index {file} cannot be used ({error}): all run folders are read instead"
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        return {}, f"the index {file} is damaged and cannot be removed ({error}): all run folders are read instead"
    return {}, f"the index {file} was damaged and is made anew from the run folders"


def _store(file: Path, rows: Iterable[tuple[str, str, str]], gone: Iterable[str]) -> str | None:
    """Writes all or nothing; why it could not be written."""
    try:
        with closing(sqlite3.connect(file, timeout=_PATIENCE, isolation_level=None)) as base:
            base.execute("BEGIN IMMEDIATE")
            if base.execute("PRAGMA user_version").fetchone()[0] != _FORMAT:
                base.execute("DROP TABLE IF EXISTS runs")
                base.execute("CREATE TABLE runs (id TEXT PRIMARY KEY, stamp TEXT NOT NULL, content TEXT NOT NULL)")
                base.execute(f"PRAGMA user_version = {_FORMAT}")
            base.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?)", rows)
            base.executemany("DELETE FROM runs WHERE id = ?", ((id,) for id in gone))
            base.execute("COMMIT")
    except sqlite3.Error as error:
        return f"the index {file} cannot be written ({error}): the next reading reads the same run folders again"
    return None


# Of the table's rows; a file of another format is made anew. To be counted up when what `read_run` reads changes.
_FORMAT = zlib.crc32(" ".join(["2", *(of.name for of in fields(Run))]).encode()) & 0x7FFFFFFF
_PATIENCE = 5.0  # seconds; a writer needs a fraction of one
_HEX = frozenset("0123456789abcdef")
