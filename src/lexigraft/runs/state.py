"""How far a run has come, as its folder says; and the right to work on it, which one process has at a time."""

import os
import socket
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from lexigraft.config.errors import innermost
from lexigraft.runs.folder import LOCK, STATUS, read_json, write_json

# "running" of a folder that nobody holds was killed; `RunState.read` says "crashed" then.
Name = Literal["new", "running", "crashed", "interrupted", "failed", "pruned", "finished"]


class InUse(ValueError):
    """Another process works on the run."""


@dataclass(frozen=True)
class RunState:
    """`status.json`: the state, how often the run was begun, since when and where; of a failure its sentence.

    `started` and `ended` are seconds since 1970 (UTC). The whole error stands in `traceback`.
    """

    name: Name = "new"
    attempts: int = 0
    started: float | None = None
    ended: float | None = None
    host: str | None = None
    pid: int | None = None
    error: str | None = None
    traceback: str | None = None

    @classmethod
    def read(cls, folder: Path) -> "RunState":
        """The state of a run folder, which need not exist; what is "running" without holding its lock has crashed."""
        state = cls.of_file(folder)
        return replace(state, name="crashed") if state.name == "running" and not held(folder) else state

    @classmethod
    def of_file(cls, folder: Path) -> "RunState":
        """What the file says; "new" without one, "crashed" where it is torn."""
        path = folder / STATUS
        if not path.is_file():
            return cls()
        try:
            return cls(**read_json(path))
        except (ValueError, TypeError):
            return cls("crashed")

    def write(self, folder: Path) -> None:
        """As a whole or not at all."""
        write_json(folder / STATUS, asdict(self))


def held(folder: Path) -> bool:
    """Whether a living process works on the run; the lock of a killed one is free."""
    if not (folder / LOCK).is_file():
        return False
    try:
        with FileLock(folder / LOCK, blocking=False):
            return False
    except Timeout:
        return True


@contextmanager
def claimed(folder: Path) -> Iterator[RunState]:
    """Work on a run alone; yields its state before, and writes down how the work ended.

    An error passes through, and is in `status.json` before; so is Ctrl-C, as "interrupted". Otherwise the state becomes
    "finished", or "pruned" where that was written meanwhile. `InUse` if another process holds the run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(folder / LOCK).acquire(timeout=_PATIENCE)
    except Timeout as error:
        raise InUse(
            f"another process works on the run {folder}: wait for its end, or change the config or output_root"
        ) from error
    with lock:
        before = RunState.of_file(folder)
        if before.name == "running":
            before = replace(before, name="crashed")
        now = RunState("running", before.attempts + 1, time.time(), host=socket.gethostname(), pid=os.getpid())
        now.write(folder)
        try:
            yield before
        except BaseException as error:
            name: Name = "failed" if isinstance(error, Exception) else "interrupted"
            told = "".join(traceback.format_exception(error))
            sentence = str(innermost(error)) or repr(error)
            replace(now, name=name, ended=time.time(), error=sentence, traceback=told).write(folder)
            raise
        if RunState.of_file(folder).name == "running":
            replace(now, name="finished", ended=time.time()).write(folder)


_PATIENCE = 2.0  # seconds; whoever only asks for a state holds the lock for a moment
