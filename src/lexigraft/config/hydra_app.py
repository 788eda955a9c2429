"""The commands that compose a config as Hydra applications, whose line is checked before Hydra runs it."""

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from lexigraft.config.catalog import conf_folder
from lexigraft.config.compose import (
    COMPOSITION_ERRORS,
    POOL_LAUNCHER,
    explain,
    extend_conf,
    jobs,
    launcher_problems,
    loader,
    refuse_devices_under_multirun,
)
from lexigraft.config.errors import ConfigError, SweepFailed, innermost, is_users, wants_traceback
from lexigraft.config.flags import Line
from lexigraft.config.origin import Origin
from lexigraft.config.preflight import RUNS, SCHEMAS, check_schema, preflight, without_hydra

# Flags with which Hydra prints about itself or the line, and starts no job.
ABOUT = ("--info", "--hydra-help", "--shell-completion")


def run(command: str, line: Line, primary: str | None = None, **settings: Any) -> None:
    """Check every job of the line, then let Hydra start `lexigraft.commands.<command>.run` with `settings` for each.

    The config is that of `<primary>.yaml`, by default of the command's name. `ConfigError` for any mistake that can be
    seen before data or a model is touched.
    """
    primary = primary or command
    config_name = line.flags.get("--config-name") or primary
    extend_conf(line.config_dirs)
    about = bool(line.flags.keys() & set(ABOUT))
    if command != primary and not any(word.startswith("hydra/launcher=") for word in line.overrides):
        # Its jobs leave no run folders, by which other processes tell how they ended.
        line = replace(line, overrides=["hydra/launcher=basic", *line.overrides])
    task = Task(command, primary, settings)
    # HYDRA_FULL_ERROR makes Hydra pass errors on to us instead of printing them and leaving.
    with task.open, _process([sys.argv[0], *line.hydra_arguments()], "1"):
        if not about:
            _check(task, config_name, line)
        try:
            hydra.main(config_path=str(conf_folder()), config_name=primary, version_base="1.3")(task)()
        except _Failed as failed:
            raise failed.error from failed.error.__cause__
        except COMPOSITION_ERRORS as error:
            if not about:
                raise
            raise ConfigError(*explain(error, config_name, line.overrides)) from error
    task.sweep.raise_if_failed()


class Task:
    """What Hydra starts for each job of a line, in this process; launchers of others take the checked configs instead.

    `known` are the configs of the jobs that the check of the line came by. `sweep` tells of the jobs of a multirun.
    `pool` is what runs them in other processes, entered into `open`, which is closed after the last of them.
    """

    def __init__(self, command: str, primary: str, settings: dict[str, Any]) -> None:
        self.command, self.primary, self.settings = command, primary, settings
        self.known: dict[tuple[str, ...], DictConfig] = {}
        self.sweep, self.open = Sweep(), ExitStack()
        self.pool: Any = None
        self._outside = sys.argv, os.environ.get("HYDRA_FULL_ERROR")

    def __call__(self, cfg: DictConfig) -> Any:
        checked = self._checked(cfg)
        # A run sees the line as it was typed: Lightning starts further ranks by it.
        with self.outside(), self.sweep.told_in_time():
            return importlib.import_module(f"lexigraft.commands.{self.command}").run(checked, **self.settings)

    def outside(self) -> AbstractContextManager[None]:
        """This process as the user started it."""
        return _process(*self._outside)

    def config(self, overrides: Sequence[str], compose: Callable[[], DictConfig]) -> DictConfig:
        """The config of the job of these overrides, resolved and read-only; `ConfigError` for every mistake in it.

        `compose` returns it as Hydra does, with its own node, and is called only for jobs that are not `known`.
        """
        found = self.known.get(_of_task(overrides))
        if found is not None:
            return found
        cfg = compose()
        HydraConfig.instance().set_config(cfg)
        return self._checked(without_hydra(cfg))

    def _checked(self, cfg: DictConfig) -> DictConfig:
        # Again: the jobs of a sweeper other than Hydra's own are not known before they come here.
        refuse_devices_under_multirun(HydraConfig.get(), cfg)
        return preflight(cfg, SCHEMAS[self.primary], _origin_of_job())


def _check(task: Task, config_name: str, line: Line) -> None:
    """Compose every job, then hold each against the schema, then against the targets' signatures."""
    schema = SCHEMAS[task.primary]
    with loader():
        found = list(jobs(config_name, line.overrides, "--multirun" in line.flags))
        first, where = found[0]
        pooled = "--multirun" in line.flags or first.hydra.mode == RunMode.MULTIRUN
        pooled = pooled and first.hydra.launcher._target_ == POOL_LAUNCHER
        if pooled:
            _refuse_processes(task.command, first)
        for check in (check_schema,) if "--cfg" in line.flags else (check_schema, preflight):
            problems: dict[str, None] = {}
            if check is preflight and pooled:
                problems |= dict.fromkeys(launcher_problems(first, where))
                if not problems:
                    _open_pool(task, first)
            for cfg, origin in found:
                HydraConfig.instance().set_config(cfg)  # what ${hydra:...} means in this job
                try:
                    refuse_devices_under_multirun(cfg.hydra, cfg)
                    checked = check(without_hydra(cfg), schema, origin)
                except ConfigError as error:
                    problems |= dict.fromkeys(error.problems)
                else:
                    if isinstance(checked, DictConfig):
                        task.known[_of_task(origin.overrides)] = checked
            if problems:
                raise ConfigError(*problems)


def _refuse_processes(command: str, cfg: DictConfig) -> None:
    if command not in RUNS:
        raise ConfigError(
            f"hydra/launcher={cfg.hydra.runtime.choices['hydra/launcher']} starts processes that train: "
            f"leave it out for lexigraft {command.replace('_', '-')}, whose runs share one process"
        )


def _open_pool(task: Task, cfg: DictConfig) -> None:
    """While the signatures are checked, which takes seconds, its processes import what they need."""
    from lexigraft.studies import hydra_launcher

    try:
        hydra_launcher.open_pool(task, cfg.hydra.launcher)
    except (ValueError, ImportError) as error:
        raise ConfigError(f"hydra/launcher={cfg.hydra.runtime.choices['hydra/launcher']}: {error}") from error


def _of_task(overrides: Sequence[str]) -> tuple[str, ...]:
    """The overrides of a job without those of Hydra itself, which sweepers leave out."""
    return tuple(word for word in overrides if not word.lstrip("+~").startswith(("hydra.", "hydra/")))


def _origin_of_job() -> Origin:
    hydra_node = HydraConfig.get()
    overrides = [*hydra_node.overrides.hydra, *hydra_node.overrides.task]
    return Origin(GlobalHydra.instance().config_loader(), str(hydra_node.job.config_name), overrides)


class _Failed(BaseException):
    """Carries the error of a single run past Hydra, which would print a line of its own about it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Sweep:
    """Tells on stderr which run of a multirun starts, and in a sentence why one failed; the others go on."""

    def __init__(self) -> None:
        self.runs = 0
        self.failed: list[int] = []

    @contextmanager
    def told_in_time(self) -> Iterator[None]:
        """Around one run. Outside a multirun its error is passed on, past Hydra."""
        job = HydraConfig.get()
        if job.mode != RunMode.MULTIRUN:
            try:
                yield
            except Exception as error:
                raise _Failed(error) from error
            return
        self.runs, number = self.runs + 1, job.job.num + 1
        print(f"run {number}: {' '.join(job.overrides.task)}", file=sys.stderr)
        try:
            yield
        except Exception as error:
            cause = innermost(error)
            if wants_traceback() or not is_users(cause):
                traceback.print_exc()
            self.failed.append(number)
            print(f"run {number} failed: {cause}", file=sys.stderr)
            # Hydra would tell of the first failure only, after the last run and in its own words; but a sweeper that
            # searches has to know.
            if not HydraConfig.get().sweeper._target_.endswith(".BasicSweeper"):
                raise

    def raise_if_failed(self) -> None:
        """`SweepFailed` with the numbers of the runs that failed."""
        if self.failed:
            numbers = ", ".join(map(str, sorted(self.failed)))
            raise SweepFailed(f"{len(self.failed)} of {self.runs} runs failed: {numbers}")


@contextmanager
def _process(argv: list[str], full_error: str | None) -> Iterator[None]:
    """This process with another command line and another HYDRA_FULL_ERROR."""
    before = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    _set_process(argv, full_error)
    try:
        yield
    finally:
        _set_process(*before)


def _set_process(argv: list[str], full_error: str | None) -> None:
    sys.argv = argv
    if full_error is None:
        os.environ.pop("HYDRA_FULL_ERROR", None)
    else:
        os.environ["HYDRA_FULL_ERROR"] = full_error
