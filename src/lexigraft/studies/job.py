"""A job: a run that is to be made, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lexigraft.runs.identity import run_id

# "killed": its process died time and again; "in_use": another process works on the run; "interrupted": by Ctrl-C.
Ending = Literal["finished", "failed", "killed", "timeout", "pruned", "interrupted", "in_use"]
LOG = "log.txt"


@dataclass(frozen=True)
class Job:
    """A resolved config under a name for people; `env` is set in the job's process beside the launcher's variables."""

    name: str
    values: Mapping[str, Any] = field(repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def id(self) -> str:
        """The name of its run folder."""
        return run_id(self.values)

    @property
    def folder(self) -> Path:
        """Its run folder, <output_root>/runs/<id>."""
        return Path(self.values["output_root"]) / "runs" / self.id

    @property
    def log(self) -> Path:
        """What its processes printed, one after the other."""
        return self.folder / LOG


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
