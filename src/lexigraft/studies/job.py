"""A job: a run that is to be made, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from lexigraft.processes import last_lines
from lexigraft.runs.folder import LOG, RunFolder

# "killed": its process died time and again; "in_use": another process works on the run; "interrupted": by Ctrl-C.
Ending = Literal["finished", "failed", "killed", "timeout", "pruned", "interrupted", "in_use"]
GOOD: tuple[Ending, ...] = ("finished", "pruned")  # the endings that leave a result


class OfRun:
    """What belongs to the run of a resolved config `values`."""

    values: Mapping[str, Any]

    @cached_property
    def folder(self) -> Path:
        """Its run folder, <output_root>/runs/<id>."""
        return RunFolder.of(self.values).path

    @property
    def id(self) -> str:
        """The name of its run folder; cells of different studies may share it."""
        return self.folder.name


@dataclass(frozen=True)
class Job(OfRun):
    """A resolved config under a name for people; `env` is set in the job's process beside the launcher's variables."""

    name: str
    values: Mapping[str, Any] = field(repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def variables(self) -> dict[str, str]:
        """Those that its process gets beside the launcher's: `env`, and the threads of its config."""
        threads = (self.values.get("hardware") or {}).get("threads")
        return ({} if threads is None else {"OMP_NUM_THREADS": str(threads)}) | dict(self.env)

    @property
    def log(self) -> Path:
        """What its processes printed, one after the other."""
        return self.folder / LOG

    def last_lines(self) -> list[str]:
        """The end of its log."""
        try:
            with open(self.log, "rb") as file:
                return last_lines(file)
        except OSError:
            return []


@dataclass(frozen=True)
class Outcome:
    """How a job ended: the value of its best epoch, or in `error` a sentence, of a killed one also its last output.

    `seconds` and `attempts` are those of all its processes together.
    """

    job: Job
    state: Ending
    value: float | None = None
    error: str | None = None
    seconds: float = 0.0
    attempts: int = 1

    @property
    def sentence(self) -> str:
        """The first line of `error`."""
        return (self.error or "").partition("\n")[0]
