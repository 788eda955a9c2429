"""Who proposes the next trial and who stops a poor one: Optuna's samplers and pruners by name."""

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lexigraft.config.errors import ConfigError, did_you_mean, nearest
from lexigraft.studies.search.space import Choice, Params, Space
from lexigraft.studies.search.storage import import_optuna

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

SAMPLERS = ("tpe", "cmaes", "gp", "nsga2", "random", "grid")
PRUNERS = ("none", "median", "hyperband", "asha")
# A generation of 50, as Optuna has it, would be the whole of most searches.
POPULATION = 10


def sampler(name: str, seed: int, settings: Mapping[str, Any] | None = None) -> "BaseSampler":
    """Optuna's sampler, its random numbers seeded; `settings` are further arguments of its class.

    `tpe`: Bergstra et al. 2011; `cmaes`: Hansen 2016, which is for numbers alone; `gp`: a Gaussian process; `nsga2`:
    Deb et al. 2002, for several objectives, 10 trials a generation; `random`: each trial on its own.
    `ConfigError` for an unknown name or argument, or where a package is missing.
    """
    optuna = import_optuna()
    samplers = optuna.samplers
    make: Callable[..., BaseSampler]
    known: dict[str, Any]
    match name:
        case "tpe":
            # What still runs counts as poor, so that trials side by side are not all alike.
            make, known = samplers.TPESampler, {"constant_liar": True}
        case "cmaes":
            _require("cmaes", "sampler=cmaes needs the package cmaes: pip install 'lexigraft[search]'")
            make, known = samplers.CmaEsSampler, {"warn_independent_sampling": False}
        case "gp":
            make, known = samplers.GPSampler, {}
        case "nsga2":
            make, known = samplers.NSGAIISampler, {"population_size": POPULATION}
        case "random":
            make, known = samplers.RandomSampler, {}
        case _:
            raise ConfigError(_unknown("sampler", name, SAMPLERS))
    return _made(make, {**known, "seed": seed % 2**32, **(settings or {})}, f"sampler={name}")


def point(params: Params) -> "BaseSampler":
    """A sampler that proposes these values, for a grid."""
    optuna = import_optuna()

    class Point(optuna.samplers.BaseSampler):  # type: ignore[name-defined]
        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            return {}

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
            return {}

        def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
            return params[param_name]

    return Point()


def pruner(name: str, epochs: int, settings: Mapping[str, Any] | None = None) -> "BasePruner":
    """Optuna's pruner for trials of so many epochs; the first epoch is step 1.

    `median`: a trial below the median of the others at its epoch ends, from the second epoch and the sixth trial on;
    `asha`: of the trials that reach 1, 3, 9, ... epochs the best third goes on (Li et al. 2020); `hyperband`: several
    such races, the later ones with longer first rounds (Li et al. 2018). `ConfigError` as for `sampler`.
    """
    pruners = import_optuna().pruners
    make: Callable[..., BasePruner]
    known: dict[str, Any]
    match name:
        case "none":
            make, known = pruners.NopPruner, {}
        case "median":
            make, known = pruners.MedianPruner, {"n_startup_trials": 5, "n_warmup_steps": 2}
        case "hyperband":
            make, known = pruners.HyperbandPruner, {"min_resource": 1, "max_resource": epochs, "reduction_factor": 3}
        case "asha":
            make, known = pruners.SuccessiveHalvingPruner, {"min_resource": 1, "reduction_factor": 3}
        case _:
            raise ConfigError(_unknown("pruner", name, PRUNERS))
    return _made(make, {**known, **(settings or {})}, f"pruner={name}")


def require_fit(sampler: str, pruner: str, space: Space, objectives: int) -> None:
    """`ConfigError` for a sampler or pruner that cannot deal with the space or with several objectives."""
    if sampler not in SAMPLERS:
        raise ConfigError(_unknown("sampler", sampler, SAMPLERS))
    if pruner not in PRUNERS:
        raise ConfigError(_unknown("pruner", pruner, PRUNERS))
    if sampler == "grid":
        space.grid()
    if sampler == "cmaes":
        words = [key for key, of in space.ranges.items() if isinstance(of, Choice)]
        if words or len(space.ranges) < 2:
            why = f"{words[0]} is a choice of words" if words else "there is one key only"
            raise ConfigError(f"sampler=cmaes searches over two or more numbers, but {why}: use sampler=tpe")
    if objectives > 1 and sampler == "cmaes":
        raise ConfigError("sampler=cmaes has one objective: use sampler=nsga2 for several")
    if objectives > 1 and pruner != "none":
        raise ConfigError(f"pruner={pruner} judges trials by one objective: use pruner=none for several")


def _made(make: Callable[..., Any], arguments: Mapping[str, Any], what: str) -> Any:
    known = inspect.signature(make).parameters
    for name in arguments:
        if name not in known:
            raise ConfigError(f"{what} has no setting '{name}'{did_you_mean(*nearest(name, known))}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of arguments that may change in another version
            return make(**arguments)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{what}: {error}") from error


def _require(package: str, sentence: str) -> None:
    try:
        __import__(package)
    except ImportError as error:
        raise ConfigError(sentence) from error


def _unknown(kind: str, name: str, known: tuple[str, ...]) -> str:
    return f"unknown {kind} '{name}'{did_you_mean(*nearest(name, known)) or ';'} there are {', '.join(known)}"
