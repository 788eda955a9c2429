"""A study's cells run: here or on a cluster, each once, whoever else is at work on them."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from rich.console import Console

from lexigraft.config.errors import ConfigError
from lexigraft.runs.reading import Run
from lexigraft.studies.cell import Cell
from lexigraft.studies.cluster import LocalJobs, SlurmJobs
from lexigraft.studies.job import Job, Outcome
from lexigraft.studies.live import Live
from lexigraft.studies.plan import cell_name
from lexigraft.studies.pool import Pool, Watch
from lexigraft.studies.study import Launch

_PAUSE = 5.0  # seconds between two looks at what another launcher is at work on


def runner(launch: Launch, watch: Watch | None = None) -> AbstractContextManager[Any]:
    """What `launch` of a study names, to be entered; `ConfigError` for options that it does not have.

    Of this machine's processes each gets one of the GPUs that `slots` names.
    """
    kinds = {"processes": Pool, "submitit_slurm": SlurmJobs, "submitit_local": LocalJobs}
    common: dict[str, Any] = {"jobs": launch.jobs, "retries": launch.retries, "watch": watch}
    if launch.launcher == "processes":
        common["timeout"] = launch.timeout
    elif launch.timeout is not None:
        common["timeout_min"] = max(1, round(launch.timeout / 60))
    try:
        return kinds[launch.launcher](**common, **launch.options)
    except TypeError as error:
        raise ConfigError(f"launch.options={launch.options} do not fit launcher={launch.launcher}: {error}") from error


def unfinished(cells: Sequence[Cell], runs: Sequence[Run]) -> list[Cell]:
    """The cells that have to be run, each run once; `runs` are those of all cells."""
    left = [cell for cell, run in zip(cells, runs) if run.state != "finished" or cell.values["rerun"]]
    return list({cell.id: cell for cell in left}.values())


def run_cells(cells: Sequence[Cell], launch: Launch, console: Console, done: int = 0) -> list[Outcome]:
    """Run cells and show how it goes; outcomes in their order. `done` further cells of the study are finished.

    Cells that another launcher runs are waited for, and run here if it gives them up.
    """
    jobs = [Job(cell_name(cell.labels) or cell.id, cell.values) for cell in cells]
    outcomes: dict[str, Outcome] = {}
    with _Watch(console, total=len(jobs) + done, done=done) as watch, runner(launch, watch) as pool:
        rest = jobs
        while rest:
            outcomes |= {outcome.job.id: outcome for outcome in pool.run(rest)}
            rest = [job for job in rest if outcomes[job.id].state == "in_use"]
            if rest:
                console.print(f"waiting for {len(rest)} cells that another launcher runs", markup=False)
                time.sleep(_PAUSE)
    return [outcomes[job.id] for job in jobs]


class _Watch(Live):
    """To whom a cell that another launcher runs is no failure."""

    def ended(self, outcome: Outcome) -> None:
        if outcome.state == "in_use":
            self._stopped(outcome.job)
            self.counts.submitted -= 1
        else:
            super().ended(outcome)
