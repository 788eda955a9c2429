"""Runs jobs through submitit, on a SLURM cluster or on this machine, behind the same words as `studies.pool.Pool`."""

import shutil
import time
import uuid
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lexigraft.studies.attempt import Attempt, answer_in
from lexigraft.studies.job import Job, Outcome
from lexigraft.studies.pool import Watch

_GRACE = 10.0  # seconds in which cancelled jobs can write down how far they came

WORK = "lexigraft.studies.worker:execute"


@dataclass
class _Task:
    """A job on its way: `submitted` is submitit's own of it, `began` when its process was first seen."""

    job: Job
    submitted: Any = None
    attempts: int = 0
    seconds: float = 0.0
    began: float | None = None
    over: float | None = None


class _Jobs(ABC):
    """At most `size` at once; a context manager, to be used by one thread. Leaving it cancels what still runs."""

    poll = 0.2  # seconds between two looks at what the jobs do
    late = 0.0  # seconds by which a result may come after the news that its job has ended

    def __init__(self, jobs: int, retries: int, logs: str | None, watch: Watch | None, work: str) -> None:
        if jobs < 1:
            raise ValueError(f"jobs={jobs}: at least one job has to run at a time; give more")
        self.size = jobs
        self._retries, self._logs, self._watch, self._work = retries, logs, watch, work
        self._executor: Any = None
        self._queue: deque[_Task] = deque()
        self._running: list[_Task] = []
        self._ended: deque[Outcome] = deque()

    @abstractmethod
    def _new_executor(self, folder: Path) -> Any:
        """Submitit's, which keeps its files in `folder`."""

    def __enter__(self) -> "_Jobs":
        _submitit()
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.clear()
        for task in self._running:
            task.submitted.cancel(check=False)
        until = time.monotonic() + _GRACE
        while any(not task.submitted.done() for task in self._running) and time.monotonic() < until:
            time.sleep(self.poll)
        self._running.clear()

    def __len__(self) -> int:
        """How many jobs were submitted whose outcome has not been taken yet."""
        return len(self._queue) + len(self._running) + len(self._ended)

    def submit(self, job: Job) -> None:
        """Begin a job as soon as there is room."""
        self._enqueue(job)
        self._fill()

    def next(self) -> Outcome:
        """Wait until any job has ended; `LookupError` if none is left."""
        if not len(self):
            raise LookupError("no job is left in the pool; submit one first")
        while True:
            self._fill()
            for task in list(self._running):
                self._look_at(task)
            if self._ended:
                return self._ended.popleft()
            time.sleep(self.poll)

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Outcomes in the order of the jobs."""
        assert not len(self), "outcomes of other jobs are taken first"
        for job in jobs:
            self._enqueue(job)
        found: dict[int, deque[Outcome]] = {}
        while len(self):
            outcome = self.next()
            found.setdefault(id(outcome.job), deque()).append(outcome)
        return [found[id(job)].popleft() for job in jobs]

    def _enqueue(self, job: Job) -> None:
        self._queue.append(_Task(job))
        if self._watch:
            self._watch.submitted(job)

    def _room(self) -> int:
        """How many jobs more submitit may be given."""
        return self.size - len(self._running)

    def _fill(self) -> None:
        """Begin jobs while there is room; two of one run come one after the other."""
        room, busy = self._room(), {task.job.id for task in self._running}
        chosen: list[_Task] = []
        for task in list(self._queue):
            if len(chosen) < room and task.job.id not in busy:
                busy.add(task.job.id)
                chosen.append(task)
                self._queue.remove(task)
        if not chosen:
            return
        if self._executor is None:
            root = Path(self._logs or Path(chosen[0].job.values["output_root"]) / "submitit")
            # A folder of its own: submitit names files by process, and such numbers come again.
            self._executor = self._new_executor(root / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}")
        for task in chosen:
            task.attempts, task.began, task.over = task.attempts + 1, None, None
        calls = [Attempt(task.job, task.attempts, self._work) for task in chosen]
        for task, submitted in zip(chosen, self._executor.submit_array(calls)):
            task.submitted = submitted
            self._running.append(task)

    def _look_at(self, task: _Task) -> None:
        """Whether a job has begun or ended, and what came of it."""
        over = task.submitted.done()
        paths, now = task.submitted.paths, time.monotonic()
        if task.began is None and (over or paths.stdout.exists()):
            task.began = now
            if self._watch:
                self._watch.started(task.job, task.attempts)
        if not over:
            return
        if task.over is None:
            task.over = now
        there = paths.result_pickle.exists()
        if not there and now < task.over + self.late:
            return
        assert task.began is not None
        task.seconds += now - task.began
        self._running.remove(task)
        if there:
            self._end(task, answer_in(paths.result_pickle))
        else:
            self._ended_without_result(task, now - task.began)

    def _ended_without_result(self, task: _Task, seconds: float) -> None:
        state = str(task.submitted.state).upper()
        why = f"its process ended without a result (submitit says {state}, {task.submitted.paths.stderr})"
        if state.startswith("CANCELLED"):
            self._end(task, {"state": "interrupted", "error": why})
        elif state.startswith("TIMEOUT") or self._too_long(seconds):
            self._end(task, {"state": "timeout", "error": f"stopped after timeout_min; {why}"})
        elif task.attempts <= self._retries:
            # Behind the others: what memory it lacked may be free by then.
            self._queue.append(replace(task, submitted=None))
            if self._watch:
                self._watch.died(task.job, why)
        else:
            self._end(task, {"state": "killed", "error": "\n".join([why, *task.job.last_lines()])})

    def _too_long(self, seconds: float) -> bool:
        return False

    def _end(self, task: _Task, said: Mapping[str, Any]) -> None:
        outcome = Outcome(task.job, said["state"], said.get("value"), said.get("error"), task.seconds, task.attempts)
        self._ended.append(outcome)
        if self._watch:
            self._watch.ended(outcome)


class LocalJobs(_Jobs):
    """Submitit's processes on this machine: what a cluster would do, tried out. Others begin as these end.

    A job that takes longer than `timeout_min` minutes is stopped 30 seconds before and goes on in a new process, at
    most `requeues` times; one whose process dies is begun again up to `retries` times.
    """

    def __init__(
        self,
        jobs: int = 1,
        timeout_min: float = 1440,
        requeues: int = 3,
        retries: int = 1,
        gpus_per_node: int = 0,
        setup: Sequence[str] = (),
        logs: str | None = None,
        watch: Watch | None = None,
        work: str = WORK,
    ) -> None:
        super().__init__(jobs, retries, logs, watch, work)
        self._requeues, self._timeout = requeues, 60 * timeout_min
        self._parameters = {"timeout_min": timeout_min, "gpus_per_node": gpus_per_node, "setup": list(setup)}

    def _new_executor(self, folder: Path) -> Any:
        executor = _submitit().LocalExecutor(folder=folder, max_num_timeout=self._requeues)
        executor.update_parameters(**self._parameters)
        return executor

    def _too_long(self, seconds: float) -> bool:
        return seconds > self._timeout - 1


class SlurmJobs(_Jobs):
    """Jobs of a SLURM cluster, submitted as an array of which `jobs` run at a time.

    A job that is preempted, or takes longer than `timeout_min` minutes, is queued again and goes on where it was, the
    latter at most `requeues` times; one whose process dies is begun again up to `retries` times. `parameters` are
    further #SBATCH lines by name. The run folders and `logs` (<output_root>/submitit) have to be seen by every node.
    """

    poll = 2.0
    late = 15.0  # files of other machines

    def __init__(
        self,
        jobs: int = 8,
        timeout_min: int = 240,
        requeues: int = 3,
        retries: int = 1,
        partition: str | None = None,
        account: str | None = None,
        qos: str | None = None,
        mem_gb: float | None = None,
        cpus_per_task: int | None = 1,
        gpus_per_node: int | None = None,
        setup: Sequence[str] = (),
        parameters: Mapping[str, str | int | float | bool] | None = None,
        logs: str | None = None,
        watch: Watch | None = None,
        work: str = WORK,
    ) -> None:
        super().__init__(jobs, retries, logs, watch, work)
        self._requeues = requeues
        named = {
            "timeout_min": timeout_min,
            "slurm_partition": partition,
            "slurm_account": account,
            "slurm_qos": qos,
            "mem_gb": mem_gb,
            "cpus_per_task": cpus_per_task,
            "gpus_per_node": gpus_per_node,
            "slurm_setup": list(setup) or None,
            "slurm_additional_parameters": dict(parameters) if parameters else None,
            "slurm_array_parallelism": jobs,
            "name": "lexigraft",
        }
        self._parameters = {name: value for name, value in named.items() if value is not None}

    def __enter__(self) -> "SlurmJobs":
        super().__enter__()
        if shutil.which("srun") is None or shutil.which("sbatch") is None:
            raise ValueError(
                "there are no commands sbatch and srun here: start it on a node of a SLURM cluster that submits jobs, "
                "or use hydra/launcher=submitit_local"
            )
        return self

    def _new_executor(self, folder: Path) -> Any:
        executor = _submitit().AutoExecutor(folder=folder, cluster="slurm", slurm_max_num_timeout=self._requeues)
        executor.update_parameters(**self._parameters)
        return executor

    def _room(self) -> int:
        # The array itself sees to how many run; but of later ones it would not know.
        return super()._room() if self._running else len(self._queue)


def _submitit() -> Any:
    try:
        import submitit
    except ImportError as error:
        raise ImportError("jobs of a cluster need the package 'submitit': pip install 'lexigraft[cluster]'") from error
    return submitit
