"""What `lexigraft train -m hydra/sweeper=optuna` does: a search, told as it goes, and at its end its best as a line."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import setup_globals
from hydra.errors import HydraException
from omegaconf import OmegaConf, open_dict
from pydantic import Field

from lexigraft.config.compose import POOL_LAUNCHER
from lexigraft.config.errors import ConfigError
from lexigraft.config.hydra_app import Task
from lexigraft.config.preflight import RUNS
from lexigraft.config.schema import Closed, Count, Seed, Text, schema_problems
from lexigraft.studies.hydra_launcher import made_pool
from lexigraft.studies.job import GOOD, Job, Outcome
from lexigraft.studies.search.report import write_report
from lexigraft.studies.search.search import Found, Search, default_storage, require_composable, searched
from lexigraft.studies.search.space import Space, read_space
from lexigraft.studies.search.trials import Settings

if TYPE_CHECKING:
    from hydra_plugins.lexigraft_sweepers import OptunaSweeper

SEEDS = "seed=0,1,2,3,4"


@dataclass
class _Keys(Closed):
    """conf/hydra/sweeper/optuna.yaml."""

    trials: Count
    sampler: Text
    sampler_settings: dict[str, Any]
    pruner: Text
    pruner_settings: dict[str, Any]
    seed: Seed
    objectives: Annotated[list[Text], Field(min_length=1)]
    storage: Text | None
    params: dict[str, Any]


def sweep(sweeper: "OptunaSweeper", arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Search over the line's keys with several values, and leave `search.json` and figures in
    <output_root>/studies/<experiment>; the best trials. `ConfigError` for whatever does not fit.
    """
    task, config = sweeper.task, sweeper.config
    assert config is not None
    if not isinstance(task, Task) or task.command not in RUNS:
        raise ConfigError("hydra/sweeper=optuna searches with lexigraft train and pretrain alone: leave it out here")
    if config.hydra.launcher._target_ != POOL_LAUNCHER:
        chosen = config.hydra.runtime.choices["hydra/launcher"]
        raise ConfigError(
            f"hydra/sweeper=optuna runs its trials in processes of their own: use hydra/launcher=processes or one of "
            f"submitit's, not {chosen}"
        )
    setup_globals()
    keys = _keys(sweeper.settings)
    space = read_space(_words(keys.params, arguments))

    def compose(words: Sequence[str]) -> Mapping[str, Any]:
        def composed() -> Any:
            cfg = sweeper.context.config_loader.load_sweep_config(config, list(words))
            with open_dict(cfg):
                cfg.hydra.job.num, cfg.hydra.job.id = 0, "0"
            return cfg

        before = HydraConfig.instance().cfg
        try:
            values = OmegaConf.to_container(task.config(list(words), composed))
        finally:
            HydraConfig.instance().cfg = before
        assert isinstance(values, dict)
        return {str(key): value for key, value in values.items()}

    place = require_composable(space, lambda words: compose((*space.fixed, *words)))
    folder = Path(place["output_root"]) / "studies" / place["experiment"]
    settings = Settings(
        keys.trials, keys.sampler, keys.pruner, keys.seed, keys.sampler_settings, keys.pruner_settings
    )  # fmt: skip
    search = Search(
        place["experiment"],
        keys.storage or default_storage(place["output_root"], place["experiment"]),
        Space(space.ranges),
        space.fixed,
        settings,
        tuple(keys.objectives),
    )
    with task.outside():
        found = searched(search, made_pool(task, config.hydra.launcher, _Lines()), compose, told=_copied)
    write_report(found, folder)
    print(_summary(task.command, found, folder))
    return [dict(trial) for trial in found.best]


class _Lines:
    """Tells on stderr, a line each, what happens to the trials."""

    def submitted(self, job: Job) -> None:
        pass

    def started(self, job: Job, attempt: int) -> None:
        _say(job.name + (f" (attempt {attempt})" if attempt > 1 else ""))

    def died(self, job: Job, why: str) -> None:
        _say(f"{_number(job)}: {why}; it is begun again")

    def ended(self, outcome: Outcome) -> None:
        job = outcome.job
        if outcome.state in GOOD:
            value = "" if outcome.value is None else f": {outcome.value:.4f}"
            _say(f"{_number(job)} {outcome.state}{value} ({job.folder}, {outcome.seconds:.1f} s)")
        else:
            _say(f"{_number(job)} failed: {outcome.error or outcome.state} (see {job.log})")


def _keys(settings: Mapping[str, Any]) -> _Keys:
    values = {
        key: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        for key, value in settings.items()
    }
    checked, problems = schema_problems(values, _Keys, lambda _: "hydra.sweeper")
    if problems:
        raise ConfigError(*problems)
    return _Keys(**checked)


def _words(params: Mapping[str, Any], arguments: Sequence[str]) -> list[str]:
    """Those of `hydra.sweeper.params` whose key the line does not say anew, then those of the line."""
    try:
        said = {override.get_key_element() for override in OverridesParser.create().parse_overrides(list(arguments))}
    except HydraException as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    return [*(f"{key}={value}" for key, value in params.items() if key not in said), *arguments]


def _copied(trial: Mapping[str, Any]) -> None:
    if trial["same_as"] is not None:
        _say(f"trial {trial['number']}: as trial {trial['same_as']}, not run again")


def _number(job: Job) -> str:
    return job.name.partition(":")[0]


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _summary(command: str, found: Found, folder: Path) -> str:
    """The best trial, or the front, and the line that trains it with several seeds."""
    words = [word for word in found.search.words if not word.lstrip("+").startswith(("seed=", "test="))]
    line = shlex.join(["lexigraft", command, "-m", *words, *found.words, SEEDS])
    title, which = "best trial", "it"
    if len(found.objectives) > 1:
        title, which = "best trials, of which none beats another in every objective", "the first of them"
    text = [_line_of(trial, found) for trial in found.best]
    last = f"to train {which} with several seeds, and test it:"
    return "\n".join([f"{title}:", *text, f"search      {folder}", last, f"  {line}"])


def _line_of(trial: Mapping[str, Any], found: Found) -> str:
    values = "  ".join(f"{of.label} {value:.6g}" for of, value in zip(found.objectives, trial["values"]))
    return f"  {trial['number']:>4}  {values}  {' '.join(found.search.space.words(trial['params']))}"
