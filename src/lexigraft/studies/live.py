"""Shows what happens to jobs: a table that moves on a terminal, elsewhere a line for each event."""

import time
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.table import Table
from rich.text import Text

from lexigraft.studies.job import GOOD, Job, Outcome


@dataclass
class Counts:
    """Of jobs: `total` may be known before all are submitted."""

    total: int = 0
    submitted: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0

    @property
    def left(self) -> int:
        """Neither ended nor running."""
        return max(self.total, self.submitted) - self.done - self.failed - self.running

    def __str__(self) -> str:
        parts = [f"{self.done} done", f"{self.running} running", f"{self.left} left"]
        return ", ".join([*parts, *([f"{self.failed} failed"] if self.failed else [])])


@dataclass
class Live:
    """A pool's watch and a context manager; `total` jobs are expected, of which `done` needed not be run.

    `failures` are the outcomes that have no result, in the order of their ends.
    """

    console: Console
    total: int = 0
    done: int = 0
    failures: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.counts = Counts(self.total, submitted=self.done, done=self.done)
        self._began = time.monotonic()
        self._started: dict[int, tuple[Job, int, float]] = {}
        self._seconds: list[float] = []
        self._side_by_side = 1
        self._live: RichLive | None = None

    def __enter__(self) -> "Live":
        if self.console.is_terminal:
            self._live = RichLive(get_renderable=self.table, console=self.console, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()
            self._live = None
        self._say(self.summary())
        for outcome in self.failures:
            self._say(_told(outcome))

    def submitted(self, job: Job) -> None:
        self.counts.submitted += 1

    def started(self, job: Job, attempt: int) -> None:
        self._started[id(job)] = job, attempt, time.monotonic()
        self.counts.running += 1
        self._side_by_side = max(self._side_by_side, self.counts.running)
        if not self._live:
            self._say(f"started   {job.name}" + (f", attempt {attempt}" if attempt > 1 else ""))

    def died(self, job: Job, why: str) -> None:
        self._stopped(job)
        self._say(f"died      {job.name}: {why}; it will be begun again")

    def ended(self, outcome: Outcome) -> None:
        self._stopped(outcome.job)
        self._seconds.append(outcome.seconds)
        if outcome.state in GOOD:
            self.counts.done += 1
            value = "" if outcome.value is None else f"  {outcome.value:.4f}"
            line = f"{outcome.state:<9} {outcome.job.name}{value}  {outcome.seconds:.1f} s"
        else:
            self.counts.failed += 1
            self.failures.append(outcome)
            line = _told(outcome)
        self._say(line if self._live else f"{line}  ({self.counts}{self._eta()})")

    def table(self) -> Group:
        """The jobs that run, and how many there are of each kind."""
        running = Table.grid("", "", padding=(0, 2))
        for job, attempt, began in list(self._started.values()):
            again = f", attempt {attempt}" if attempt > 1 else ""
            running.add_row(Text(f"running   {job.name}{again}"), Text(_duration(time.monotonic() - began)))
        return Group(running, Text(f"{self.counts}{self._eta()}", style="bold"))

    def eta(self) -> float | None:
        """Seconds until the last job has ended, by how long those before took; None before the first has."""
        if not self._seconds:
            return None
        mean, now = sum(self._seconds) / len(self._seconds), time.monotonic()
        under_way = sum(max(0.0, mean - (now - began)) for _, _, began in list(self._started.values()))
        return (mean * self.counts.left + under_way) / self._side_by_side

    def summary(self) -> str:
        """The end in a sentence."""
        counts = self.counts
        total = max(counts.total, counts.submitted)
        told = f"{counts.done} of {total} runs have a result, after {_duration(time.monotonic() - self._began)}"
        left = counts.left + counts.running
        rest = [f"{counts.failed} without one"] if counts.failed else []
        return "; ".join([told, *rest, *([f"{left} not ended"] if left else [])])

    def _stopped(self, job: Job) -> None:
        if self._started.pop(id(job), None):
            self.counts.running -= 1

    def _eta(self) -> str:
        eta = self.eta()
        return "" if eta is None or not (self.counts.left or self.counts.running) else f", about {_duration(eta)} to go"

    def _say(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _told(outcome: Outcome) -> str:
    """A failure in a line, and where the rest stands."""
    where = f" ({outcome.job.log})" if outcome.job.log.is_file() else ""
    return f"{outcome.state:<9} {outcome.job.name}: {outcome.sentence}{where}"


def _duration(seconds: float) -> str:
    """As people say it: 12.3 s, 4 min 5 s, 2 h 10 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
