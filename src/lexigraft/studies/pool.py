"""Runs jobs side by side, each in a process of its own, forked from a server that has imported everything."""

import json
import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.context import ForkServerProcess
from typing import Any, Protocol

from lexigraft.processes import variables
from lexigraft.studies.forking import SERVER_DIED, start, start_server, undisturbed, wait_for_server
from lexigraft.studies.job import Ending, Job, Outcome
from lexigraft.studies.process import Order, carry_out

WORK = "lexigraft.studies.early:execute"
GRACE = 10.0  # seconds in which a job that is told to stop can write down how far it came


class Watch(Protocol):
    """Is told what happens in a pool, in the pool's own thread."""

    def submitted(self, job: Job) -> None: ...

    def started(self, job: Job, attempt: int) -> None: ...

    def died(self, job: Job, why: str) -> None:
        """Its process died, and it will be begun again."""

    def ended(self, outcome: Outcome) -> None: ...


@dataclass
class _Task:
    job: Job
    id: str
    attempts: int = 0
    seconds: float = 0.0


@dataclass
class _Running:
    task: _Task
    process: ForkServerProcess
    answer: connection.Connection
    slot: str | None
    began: float
    asked: Ending | None = None  # why it was told to stop
    next_step: float | None = None  # when it is told to stop, or is killed


def begin_imports(work: str = WORK) -> None:
    """Start the server of pools to come: it imports for seconds, in which the launcher can find out what to run."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        start_server("lexigraft.studies.server", work.partition(":")[0])


class Pool:
    """At most `jobs` at once; a context manager, to be used by one thread.

    A process that dies is begun again up to `retries` times, one that takes longer than `timeout` seconds is stopped.
    Each of `slots`, names of CUDA devices, is used by one job at a time. Leaving the context stops what still runs.
    `work` is "package.module:function"; the fork server imports the module, and a job is a call with its values.
    """

    def __init__(
        self,
        jobs: int = 1,
        timeout: float | None = None,
        retries: int = 1,
        slots: Sequence[str] | None = None,
        watch: Watch | None = None,
        work: str = WORK,
        grace: float = GRACE,
    ) -> None:
        if "forkserver" not in multiprocessing.get_all_start_methods():
            raise ValueError(f"jobs side by side need Linux or macOS, this is {sys.platform}: use hydra/launcher=basic")
        if jobs < 1 or (slots is not None and not slots):
            raise ValueError(f"jobs={jobs} with slots={slots}: at least one job has to run at a time; give more")
        self.size = jobs if slots is None else min(jobs, len(slots))
        self._timeout, self._retries, self._watch, self._work, self._grace = timeout, retries, watch, work, grace
        self._slots: list[str | None] = [None] * jobs if slots is None else list(slots)
        self._queue: deque[_Task] = deque()
        self._running: list[_Running] = []
        self._ended: deque[Outcome] = deque()
        self._ready = False

    def __enter__(self) -> "Pool":
        begin_imports(self._work)
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.clear()
        try:
            self._stop_all()
        finally:
            for running in self._running:  # where Ctrl-C came again
                _kill(running)

    def __len__(self) -> int:
        """How many jobs were submitted whose outcome has not been taken yet."""
        return len(self._queue) + len(self._running) + len(self._ended)

    def submit(self, job: Job) -> None:
        """Begin a job as soon as there is room. Its timeout is watched over in `next` and `run`."""
        self._queue.append(_Task(job, job.id))
        if self._watch:
            self._watch.submitted(job)
        self._fill()

    def next(self) -> Outcome:
        """Wait until any job has ended; `LookupError` if none is left."""
        if not len(self):
            raise LookupError("no job is left in the pool; submit one first")
        while not self._ended:
            self._fill()
            self._advance()
        return self._ended.popleft()

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Outcomes in the order of the jobs."""
        assert not len(self), "outcomes of other jobs are taken first"
        for job in jobs:
            self.submit(job)
        places: dict[int, list[int]] = {}
        for i, job in enumerate(jobs):
            places.setdefault(id(job), []).append(i)
        found: dict[int, Outcome] = {}
        while len(self):
            outcome = self.next()
            found[places[id(outcome.job)].pop(0)] = outcome
        return [found[i] for i in range(len(jobs))]

    def _fill(self) -> None:
        """Begin jobs while there is room; two of one run come one after the other."""
        while len(self._running) < self.size:
            busy = {running.task.id for running in self._running}
            task = next((task for task in self._queue if task.id not in busy), None)
            if task is None:
                return
            self._queue.remove(task)
            self._start(task)

    def _start(self, task: _Task) -> None:
        if not self._ready:
            wait_for_server()
            self._ready = True
        slot = self._slots[0]
        task.attempts += 1
        with undisturbed():
            process, answer = start(carry_out, self._order(task, slot))
            self._slots.pop(0)
            began = time.monotonic()
            stop = None if self._timeout is None else began + self._timeout
            self._running.append(_Running(task, process, answer, slot, began, next_step=stop))
        if self._watch:
            self._watch.started(task.job, task.attempts)

    def _order(self, task: _Task, slot: str | None) -> Order:
        job = task.job
        own = job.variables if slot is None else {**job.variables, "CUDA_VISIBLE_DEVICES": slot}
        return Order(job.name, task.attempts, self._work, job.values, str(job.folder), variables(os.environ, own))

    def _advance(self) -> None:
        """Wait until a process has ended or one has to be stopped, and see to it."""
        steps = [running.next_step for running in self._running if running.next_step is not None]
        pause = max(0.0, min(steps) - time.monotonic()) if steps else None
        over = connection.wait([running.process.sentinel for running in self._running], pause)
        for running in list(self._running):
            if running.process.sentinel in over:
                self._settle(running)
            elif running.next_step is not None and time.monotonic() >= running.next_step:
                if running.asked is None:
                    self._ask(running, "timeout", signal.SIGTERM)
                else:
                    _kill(running)
                    running.next_step = None

    def _ask(self, running: _Running, why: Ending, how: signal.Signals) -> None:
        """Tell a job to stop; only its first process, since to that one the loss of another would be an error."""
        running.asked, running.next_step = why, time.monotonic() + self._grace
        with suppress(ProcessLookupError):
            os.kill(_pid(running), how)

    def _settle(self, running: _Running) -> None:
        """What a process that has ended left behind: an outcome, or another attempt."""
        running.process.join()
        _kill_session(running)  # what it started and did not wait for
        said, code, task = _answer(running.answer), running.process.exitcode, running.task
        self._running.remove(running)
        self._slots.append(running.slot)
        self._ready = self._ready and code != SERVER_DIED
        task.seconds += time.monotonic() - running.began
        state = said.get("state", "stopped")
        if state in ("finished", "pruned", "in_use"):
            self._end(task, state, said.get("value"), said.get("error"))
        elif running.asked == "timeout":
            self._end(task, "timeout", error=f"stopped, as it took longer than timeout={self._timeout:g} seconds")
        elif running.asked == "interrupted":
            self._end(task, "interrupted", error="stopped before its end; it goes on from its last epoch")
        elif state == "failed":
            self._end(task, "failed", error=said["error"])
        elif task.attempts <= self._retries:
            # Behind the others: what memory it lacked may be free by then.
            self._queue.append(task)
            if self._watch:
                self._watch.died(task.job, _death(code, bool(said)))
        else:
            self._end(task, "killed", error="\n".join([_death(code, bool(said)), *task.job.last_lines()]))

    def _end(self, task: _Task, state: Ending, value: float | None = None, error: str | None = None) -> None:
        outcome = Outcome(task.job, state, value, error, task.seconds, task.attempts)
        self._ended.append(outcome)
        if self._watch:
            self._watch.ended(outcome)

    def _stop_all(self) -> None:
        """Interrupt what runs and wait for it, at most as long as the grace."""
        for running in self._running:
            if running.asked is None:
                self._ask(running, "interrupted", signal.SIGINT)
        while self._running:
            self._advance()


def _pid(running: _Running) -> int:
    assert running.process.pid is not None
    return running.process.pid


def _kill(running: _Running) -> None:
    """A job that has not ended, and everything in its session."""
    _kill_session(running)
    with suppress(ProcessLookupError):  # perhaps it has no session of its own yet
        os.kill(_pid(running), signal.SIGKILL)


def _kill_session(running: _Running) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(_pid(running), signal.SIGKILL)


def _answer(answer: connection.Connection) -> Mapping[str, Any]:
    """What the job's process sent; nothing if it died before."""
    with answer:
        try:
            said = json.loads(answer.recv_bytes()) if answer.poll() else {}
        except (EOFError, OSError, ValueError):
            return {}
    assert isinstance(said, dict)
    return said


def _death(code: int | None, stopped: bool) -> str:
    """Why a process ended that was to go on."""
    if stopped:
        return "its process was told to stop by a signal, not by lexigraft, or left with sys.exit"
    if code == SERVER_DIED:
        return "its process ended together with the fork server, or with exit code 255"
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"its process was killed by {name}" + (", probably out of memory" if name == "SIGKILL" else "")
    return f"its process ended with exit code {code} and without a result"
