"""Signals that ask a run to make way: noted at once, obeyed when a step is done and its checkpoint written."""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

# SLURM sends SIGTERM before it takes the machine away, and what `--signal` names before the time is over.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class Preempted(SystemExit):
    """The run has made way to a signal; the exit code is 128 + its number, as shells have it."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.signal = signal.Signals(number)

    def __str__(self) -> str:
        return f"the run made way at {self.signal.name}"


class Preemption:
    """Notes SIGTERM, SIGUSR1 and Ctrl-C while a run trains; `received` is the first one's number.

    A second Ctrl-C is a `KeyboardInterrupt` at once. `requeue`: SLURM is asked to start the job again. Signals can be
    noted in the main thread only; elsewhere they are what they were before.
    """

    def __init__(self, requeue: bool = False, say: Callable[[str], None] = print) -> None:
        self.received: int | None = None
        self._requeue, self._say = requeue, say
        self._owner = 0

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note signals in here."""
        before = {number: signal.getsignal(number) for number in (*SIGNALS, signal.SIGINT)}
        self.received = None
        self.install()
        try:
            yield
        finally:
            if self._owner:
                for number, handler in before.items():
                    if handler is not None:
                        signal.signal(number, handler)
            self._owner = 0

    def install(self) -> None:
        """Once more, for whoever put handlers of its own in their place, as Lightning does."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._owner = os.getpid()
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._note)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._note)

    def leave(self, first_rank: bool = True) -> None:
        """Raise `Preempted`, after Ctrl-C `KeyboardInterrupt`; ask for a new start before, on the first rank alone."""
        # Another rank may have got the signal.
        number = signal.SIGTERM if self.received is None else self.received
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        if self._requeue and first_rank and "SLURM_JOB_ID" in os.environ:
            self._say(requeue(os.environ))
        raise Preempted(number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:
            # A loader's process, which the signal was sent to as well: its parent still wants a batch.
            signal.signal(number, signal.SIG_DFL)
            return
        if number == signal.SIGINT and self.received is not None:
            raise KeyboardInterrupt
        if self.received is None:
            self.received = number


def requeue(variables: Mapping[str, str]) -> str:
    """Have SLURM start the job of these variables again; what came of it, in a sentence.

    A job that is being cancelled gets SIGTERM too, and stays cancelled.
    """
    array, task = variables.get("SLURM_ARRAY_JOB_ID"), variables.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{task}" if array and task else variables["SLURM_JOB_ID"]
    try:
        shown = _scontrol("show", "job", "--oneliner", job)
        state = re.search(r"\bJobState=(\w+)", shown.stdout)
        if shown.returncode == 0 and state is not None and state[1] in ("CANCELLED", "COMPLETING"):
            return f"SLURM's job {job} is being cancelled and was not requeued"
        asked = _scontrol("requeue", job)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"SLURM's job {job} could not be requeued ({error}): submit it again"
    if asked.returncode:
        return f"SLURM's job {job} could not be requeued ({asked.stderr.strip()}): submit it again"
    return f"SLURM's job {job} was requeued and will go on from the last checkpoint"


def _scontrol(*arguments: str) -> Any:
    return subprocess.run(["scontrol", *arguments], capture_output=True, text=True, timeout=20, check=False)
