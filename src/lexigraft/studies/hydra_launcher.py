"""What `lexigraft train -m` does with a line's jobs: one pool runs them, finished ones are left, equal ones are one."""

import os
import pkgutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from omegaconf import DictConfig, OmegaConf, open_dict
from rich.console import Console

from lexigraft.config.errors import ConfigError, wants_traceback
from lexigraft.config.hydra_app import Task
from lexigraft.runs.folder import RunFolder
from lexigraft.runs.state import RunState
from lexigraft.studies.job import GOOD, Job, Outcome
from lexigraft.studies.live import Live
from lexigraft.studies.pool import Watch

if TYPE_CHECKING:
    from hydra_plugins.lexigraft_launchers import PoolLauncher


@dataclass(frozen=True)
class _Place:
    """A job's place in the line: its name for people, and its checked config or what is wrong with it."""

    number: int
    name: str
    overrides: tuple[str, ...]
    config: DictConfig | None
    problem: ConfigError | None = None


def open_pool(task: Task, settings: DictConfig) -> None:
    """Make the pool that the keys of a launcher describe, and begin to import what its jobs need.

    `ValueError` for values that the pool does not allow, `ImportError` for an extra that it lacks.
    """
    live = Live(Console(stderr=True))
    with task.outside():
        task.pool = made_pool(task, settings, live), live


def made_pool(task: Task, settings: DictConfig, watch: Watch) -> Any:
    """The pool that the keys of a launcher describe, open until the end of the line."""
    values = cast(dict[str, Any], OmegaConf.to_container(settings, resolve=True))
    if values.get("slots") is not None:
        values["slots"] = [str(slot) for slot in values["slots"]]  # devices are numbers in a line, names in a pool
    kind = pkgutil.resolve_name(values.pop("pool"))
    values.pop("_target_")
    return task.open.enter_context(kind(**values, watch=watch))


def launch(launcher: "PoolLauncher", job_overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    """What became of each job, in their order: the dev value of a finished one, the error of any other.

    Each is a process of its own. A finished run is not begun, and of several jobs with one run the first is. What fails
    is told at once and at the end of the line.
    """
    task = launcher.task
    if not isinstance(task, Task):
        raise ValueError("hydra/launcher=processes runs the jobs of lexigraft train: other applications have their own")
    setup_globals()
    places = [_place(launcher, task, first + i + 1, overrides) for i, overrides in enumerate(job_overrides)]
    task.sweep.runs += len(places)
    outcomes = _outcomes(places, task, launcher)
    for number, outcome in outcomes.items():
        if outcome.state not in GOOD:
            task.sweep.failed.append(number)
    # Hydra's own sweeper would raise the first failure in words of its own; others have to know.
    told = HydraConfig.get().sweeper._target_.endswith(".BasicSweeper")
    return [_job_return(place, outcomes[place.number], told) for place in places]


def _place(launcher: "PoolLauncher", task: Task, number: int, overrides: Sequence[str]) -> _Place:
    def composed() -> DictConfig:
        cfg = launcher.context.config_loader.load_sweep_config(launcher.config, list(overrides))
        with open_dict(cfg):
            cfg.hydra.job.num, cfg.hydra.job.id = number - 1, str(number - 1)
        return cfg

    name = " ".join([f"run {number}:", *_own(overrides, launcher.config.hydra.overrides.task)])
    before = HydraConfig.instance().cfg
    try:
        return _Place(number, name, tuple(overrides), task.config(overrides, composed))
    except ConfigError as error:
        return _Place(number, name, tuple(overrides), None, error)
    finally:
        HydraConfig.instance().cfg = before


def _own(overrides: Sequence[str], line: Sequence[str]) -> list[str]:
    """The overrides of a job in which it differs from the other jobs of the line."""
    parsed = OverridesParser.create().parse_overrides(list(line))
    common = {override.get_key_element() for override in parsed if not override.is_sweep_override()}
    return [word for word in overrides if word.partition("=")[0] not in common]


def _outcomes(places: Sequence[_Place], task: Task, launcher: "PoolLauncher") -> dict[int, Outcome]:
    """By the number of the job."""
    if task.pool is None:
        open_pool(task, launcher.config.hydra.launcher)
    pool, live = task.pool
    found: dict[int, Outcome] = {}
    to_run: dict[str, tuple[int, Job]] = {}
    same: dict[int, int] = {}
    for place in places:
        job = Job(place.name, {} if place.config is None else _plain(place.config))
        if place.config is None:
            found[place.number] = Outcome(job, "failed", error=str(place.problem), attempts=0)
            _say(live, f"failed    {job.name}: {place.problem}")
        elif job.id in to_run:
            same[place.number], _ = to_run[job.id]
            _say(live, f"same      {job.name}, as run {same[place.number]}")
        elif result := _finished(job):
            found[place.number] = Outcome(job, "finished", result["best"]["value"], attempts=0)
            _say(live, f"finished  {job.name} already ({job.folder}){_other_code(job)}")
        else:
            to_run[job.id] = place.number, job
    if to_run:
        if not live.counts.submitted:
            task.open.enter_context(live)
        with task.outside():
            outcomes = pool.run([job for _, job in to_run.values()])
            for outcome in outcomes if wants_traceback() else ():
                print(RunState.of_file(outcome.job.folder).traceback or "", end="", file=sys.stderr)
        found |= {number: outcome for (number, _), outcome in zip(to_run.values(), outcomes)}
    return found | {number: found[first] for number, first in same.items()}


def _plain(config: DictConfig) -> dict[str, Any]:
    return cast(dict[str, Any], OmegaConf.to_container(config))


def _finished(job: Job) -> dict[str, Any] | None:
    """`result.json` of a run that need not be begun."""
    return None if job.values["rerun"] else RunFolder(job.folder).finished_result()


def _other_code(job: Job) -> str:
    """What is to be said of a finished run that other code than this made."""
    from lexigraft.runs.manifest import other_code, package_sha256  # imports torch, as the check of the line has done

    code = other_code(RunFolder(job.folder))
    if code is None:
        return ""
    made_by, now = code["package_sha256"][:12], package_sha256()[:12]
    return f", by other code: package {made_by}, and not {now}; rerun=true does it again"


def _job_return(place: _Place, outcome: Outcome, told: bool) -> JobReturn:
    found = JobReturn(overrides=list(place.overrides), cfg=place.config, working_dir=os.getcwd(), task_name="train")
    done = outcome.state in GOOD
    found.status = JobStatus.COMPLETED if done or told else JobStatus.FAILED
    if done or told:
        found.return_value = outcome.value
    else:
        found.return_value = place.problem or RuntimeError(f"{outcome.state}: {outcome.error}")
    return found


def _say(live: Live, line: str) -> None:
    live.console.print(line, markup=False, highlight=False, soft_wrap=True)
