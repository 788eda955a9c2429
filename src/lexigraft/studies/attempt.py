"""A job in a process of submitit's: what is called there, and what it left behind."""

import os
import pickle
import pkgutil
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lexigraft.processes import DISTRIBUTED, sentence
from lexigraft.runs.state import InUse, RunState
from lexigraft.studies.job import Job
from lexigraft.studies.process import print_into_log


@dataclass(frozen=True)
class Attempt:
    """What submitit calls in a job's process; `work` is "package.module:function"."""

    job: Job
    number: int
    work: str

    def __call__(self) -> dict[str, Any]:
        """Do the work, its output in the run folder's log: {"state", "value", "error"}."""
        _surroundings(self.job, self.number)
        from submitit.core.utils import UncompletedJobError

        try:
            value = pkgutil.resolve_name(self.work)(self.job.values)
        except InUse as error:
            return {"state": "in_use", "error": str(error)}
        except UncompletedJobError as error:  # of submitit's handler: there is no time left for this job
            return {"state": "timeout", "error": str(error)}
        except Exception as error:
            traceback.print_exc()
            return {"state": "failed", "error": sentence(error)}
        pruned = RunState.of_file(self.job.folder).name == "pruned"
        return {"state": "pruned" if pruned else "finished", "value": value}

    def checkpoint(self) -> Any:
        """The same once more, for submitit to queue when time is up or the node is wanted back; the run resumes."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def answer_in(path: Path) -> Mapping[str, Any]:
    """The answer of a job, or the error that submitit met before and after it."""
    with open(path, "rb") as file:
        how, what = pickle.load(file)
    if how == "success":
        assert isinstance(what, dict)
        return what
    return {"state": "failed", "error": str(what).strip().splitlines()[-1] + f"\n{what}"}


def _surroundings(job: Job, attempt: int) -> None:
    """Variables and output, as of a pool's job."""
    for name in DISTRIBUTED:
        os.environ.pop(name, None)
    os.environ.update(job.variables)
    print_into_log(job.folder, job.name, attempt)
