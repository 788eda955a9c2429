"""The commands that compose a config as Hydra applications, whose line is checked before Hydra runs it."""

import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from lexigraft.config.catalog import conf_folder
from lexigraft.config.compose import (
    COMPOSITION_ERRORS,
    explain,
    extend_conf,
    jobs,
    loader,
    refuse_devices_under_multirun,
)
from lexigraft.config.errors import ConfigError, SweepFailed, innermost, is_users, wants_traceback
from lexigraft.config.flags import Line
from lexigraft.config.origin import Origin
from lexigraft.config.preflight import SCHEMAS, check_schema, preflight, without_hydra

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
    if not line.flags.keys() & set(ABOUT):
        _check(primary, config_name, line)
    outside = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sweep = _Sweep()

    def task(cfg: DictConfig) -> Any:
        # Again: the jobs of a sweeper other than Hydra's own are not known before they come here.
        refuse_devices_under_multirun(HydraConfig.get(), cfg)
        checked = preflight(cfg, SCHEMAS[primary], _origin_of_job())
        # A run sees the line as it was typed: Lightning starts further ranks by it.
        with _process(*outside), sweep.told_in_time():
            return importlib.import_module(f"lexigraft.commands.{command}").run(checked, **settings)

    # HYDRA_FULL_ERROR makes Hydra pass errors on to us instead of printing them and leaving.
    with _process([sys.argv[0], *line.hydra_arguments()], "1"):
        try:
            hydra.main(config_path=str(conf_folder()), config_name=primary, version_base="1.3")(task)()
        except _Failed as failed:
            raise failed.error from failed.error.__cause__
        except COMPOSITION_ERRORS as error:
            if not line.flags.keys() & set(ABOUT):
                raise
            raise ConfigError(*explain(error, config_name, line.overrides)) from error
    sweep.raise_if_failed()


def _check(primary: str, config_name: str, line: Line) -> None:
    """Compose every job, then hold each against the schema, then against the targets' signatures."""
    with loader():
        found = list(jobs(config_name, line.overrides, "--multirun" in line.flags))
        for check in (check_schema,) if "--cfg" in line.flags else (check_schema, preflight):
            problems: dict[str, None] = {}
            for cfg, origin in found:
                try:
                    refuse_devices_under_multirun(cfg.hydra, cfg)
                    check(without_hydra(cfg), SCHEMAS[primary], origin)
                except ConfigError as error:
                    problems |= dict.fromkeys(error.problems)
            if problems:
                raise ConfigError(*problems)


def _origin_of_job() -> Origin:
    hydra_node = HydraConfig.get()
    overrides = [*hydra_node.overrides.hydra, *hydra_node.overrides.task]
    return Origin(GlobalHydra.instance().config_loader(), str(hydra_node.job.config_name), overrides)


class _Failed(BaseException):
    """Carries the error of a single run past Hydra, which would print a line of its own about it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class _Sweep:
    """Tells on stderr which run of a multirun starts, and in a sentence why one failed; the others go on."""

    def __init__(self) -> None:
        self._runs = 0
        self._failed: list[int] = []

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
        self._runs, number = self._runs + 1, job.job.num + 1
        print(f"run {number}: {' '.join(job.overrides.task)}", file=sys.stderr)
        try:
            yield
        except Exception as error:
            self._failed.append(number)
            cause = innermost(error)
            if wants_traceback() or not is_users(cause):
                traceback.print_exc()
            print(f"run {number} failed: {cause}", file=sys.stderr)
            # Hydra would tell of the first failure only, after the last run and in its own words; but a sweeper that
            # searches has to know.
            if not HydraConfig.get().sweeper._target_.endswith(".BasicSweeper"):
                raise

    def raise_if_failed(self) -> None:
        """`SweepFailed` with the numbers of the runs that failed."""
        if self._failed:
            numbers = ", ".join(map(str, self._failed))
            raise SweepFailed(f"{len(self._failed)} of {self._runs} runs failed: {numbers}")


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
