"""A pool in this process, whose jobs are calls of a function; and a task that needs no training."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from lexigraft.runs.folder import write_json
from lexigraft.studies.job import Job, Outcome


class Killed(BaseException):
    """The launcher's end, wherever it stands."""


class Here:
    """`Pool`'s `submit`, `next` and `run` without processes: the job that was submitted first ends first.

    `work` is given a job and returns an outcome, or None to have `result.json` written by `write`.
    """

    def __init__(self, work: Callable[[Job], Outcome], size: int = 1) -> None:
        self.size, self._work, self._queue = size, work, list[Job]()
        self.ran: list[Job] = []
        self.most = 0

    def submit(self, job: Job) -> None:
        self._queue.append(job)
        self.most = max(self.most, len(self._queue))

    def next(self) -> Outcome:
        outcome = self._work(self._queue[0])
        job = self._queue.pop(0)
        self.ran.append(job)
        return outcome

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        outcomes = []
        for job in jobs:
            self.submit(job)
            outcomes.append(self.next())
        return outcomes


def finished(job: Job, value: float, **more: Any) -> Outcome:
    """The job's run folder with a result of this value."""
    job.folder.mkdir(parents=True, exist_ok=True)
    write_json(
        job.folder / "result.json", {"status": "finished", "monitor": "accuracy", "best": {"value": value}, **more}
    )
    return Outcome(job, "finished", value, seconds=1.0)


def values_of(words: Sequence[str], root: Path) -> dict[str, Any]:
    """A config of a task's keys and what the words set in it."""
    values: dict[str, Any] = {
        "output_root": str(root), "seed": 0, "test": True, "trainer": {"monitor": "accuracy", "epochs": 9},
    }  # fmt: skip
    for override in OverridesParser.create().parse_overrides(list(words)):
        *parents, last = override.key_or_group.split(".")
        node = values
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = override.value()
    return values
