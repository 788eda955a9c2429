"""A search from beginning to end: what it tries, through a pool, on validation alone; and the cells that it chooses."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lexigraft.config.errors import ConfigError
from lexigraft.runs.identity import identity
from lexigraft.studies.cell import Cell
from lexigraft.studies.job import Job
from lexigraft.studies.plan import cell_name
from lexigraft.studies.search.importance import importances
from lexigraft.studies.search.objective import MONITOR, Objective, objective
from lexigraft.studies.search.sampling import pruner, require_fit
from lexigraft.studies.search.space import Space, read_space
from lexigraft.studies.search.storage import absolute, existing_study, file_of, open_study, searched_alone
from lexigraft.studies.search.trials import Jobs, Settings, Told, done, row, run_trials
from lexigraft.studies.study import Study
from lexigraft.training.trial import TrialReference

if TYPE_CHECKING:
    from optuna import Study as Trials

VALIDATION_ONLY = "test=false"
Compose = Callable[[Sequence[str]], Mapping[str, Any]]  # words to a resolved config; `ConfigError` with its mistakes


@dataclass(frozen=True)
class Search:
    """A search's name in its storage, the words that all trials share, and how it is done.

    Its trials are compared by `objectives`, names as `objective` takes them.
    """

    name: str
    storage: str
    space: Space
    words: tuple[str, ...]
    settings: Settings
    objectives: tuple[str, ...] = (MONITOR,)


@dataclass(frozen=True)
class Found:
    """A search that is over: its trials as rows (see `trials.row`), and the best one, or those of the Pareto front."""

    search: Search
    objectives: tuple[Objective, ...]
    trials: tuple[Mapping[str, Any], ...]
    best: tuple[Mapping[str, Any], ...]
    importances: Mapping[str, float]

    @property
    def done(self) -> tuple[Mapping[str, Any], ...]:
        """The trials that came to their end or were pruned."""
        return tuple(trial for trial in self.trials if trial["state"] in ("complete", "pruned"))

    @property
    def words(self) -> tuple[str, ...]:
        """The words that set the best values."""
        return self.search.space.words(self.best[0]["params"])


def searches(study: Study, cells: Sequence[Cell]) -> list[tuple[Search, list[Cell]]]:
    """The searches of a study, and the cells that each decides about: those that differ in `study.repeats` alone.

    Trials have the words of the first of them and `test=false`. `ConfigError` for a space that cannot be read.
    """
    assert study.search is not None
    wanted = study.search
    space = read_space([f"{key}={values}" for key, values in wanted.space.items()])
    settings = Settings(wanted.trials, wanted.sampler, wanted.pruner, wanted.seed)
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        labels = {axis: label for axis, label in cell.labels.items() if axis not in study.repeats}
        groups.setdefault(cell_name(labels) or study.name, []).append(cell)
    found = []
    for name, group in groups.items():
        first = group[0]
        storage = wanted.storage or default_storage(first.values["output_root"], study.name)
        found.append((Search(name, storage, space, first.overrides, settings), group))
    return found


def chosen_cells(found: Found, group: Sequence[Cell], compose: Compose) -> list[Cell]:
    """The cells with the best values of their search, in place of what their words said."""
    cells = []
    for cell in group:
        words = (*cell.overrides, *found.search.space.fixed, *found.words)
        cells.append(Cell(cell.labels, words, compose(words)))
    return cells


def searched(search: Search, pool: Jobs, compose: Compose, told: Told | None = None) -> Found:
    """Run a search, or the rest of it; may be called again at any time, since what is done is read.

    `ConfigError` for a space that does not fit, `ValueError` where too many trials fail or none finishes.
    """
    space, settings = search.space, search.settings
    require_fit(settings.sampler, settings.pruner, space, len(search.objectives))
    values = _values(search, compose)
    base = require_composable(space, values)
    objectives = tuple(objective(name, base) for name in search.objectives)
    of_pruner = {
        "name": settings.pruner, "epochs": base["trainer"]["epochs"], "settings": dict(settings.pruner_settings),
    }  # fmt: skip
    judge = pruner(**of_pruner)

    def job(number: int, words: tuple[str, ...]) -> Job:
        trial = TrialReference(absolute(search.storage), search.name, number, of_pruner)
        # Without a pruner nobody would look at what the run reports.
        env = trial.variables() if settings.pruner != "none" else {}
        return Job(f"trial {number}: {' '.join(words)}", values(words), env)

    with searched_alone(search.storage, search.name):
        study = open_study(search.storage, search.name, [of.direction for of in objectives], _over(search, base))
        study.pruner = judge
        run_trials(study, space, settings, objectives, pool, job, told)
    return _found(search, objectives, study)


def read(search: Search, compose: Compose) -> Found | None:
    """A search as far as it has come; None where it has no finished trial. `ConfigError` where it was another one."""
    if not file_of(search.storage).is_file():
        return None
    base = _values(search, compose)(search.space.words(next(search.space.probes())))
    objectives = tuple(objective(name, base) for name in search.objectives)
    study = existing_study(search.storage, search.name, [of.direction for of in objectives], _over(search, base))
    return _found(search, objectives, study) if study is not None and study.best_trials else None


def is_done(found: Found) -> bool:
    """Whether all the trials that were asked for are done."""
    over = [trial["params"] for trial in found.done]
    if found.search.settings.sampler == "grid" and all(point in over for point in found.search.space.grid()):
        return True
    return len(over) >= found.search.settings.trials


def default_storage(output_root: str, name: str) -> str:
    """The journal of a study's searches."""
    return str(Path(output_root) / "studies" / name / "search.journal")


def require_composable(space: Space, values: Compose) -> Mapping[str, Any]:
    """The config at the space's first values; `ConfigError` with whatever is wrong at its others."""
    problems: dict[str, None] = {}
    found = []
    for params in space.probes():
        try:
            found.append(values(space.words(params)))
        except ConfigError as error:
            problems |= dict.fromkeys(_with_advice(problem, space, params) for problem in error.problems)
    if problems:
        raise ConfigError(*problems)
    return found[0]


def _with_advice(problem: str, space: Space, params: Mapping[str, Any]) -> str:
    """An interval holds any number, also where it was typed with whole ones."""
    words = (word for word in space.words(params) if problem.startswith(f"{word} ") and "integer" in problem)
    key = next(words, "").partition("=")[0]
    return f"{problem}; write {key}=int(interval(...)) for whole numbers" if key else problem


def _values(search: Search, compose: Compose) -> Compose:
    """The config of a trial, of the words that set its values."""

    def values(words: Sequence[str]) -> Mapping[str, Any]:
        line = (*search.words, *search.space.fixed, *words)
        # A pretraining has no test split.
        return compose((*line, VALIDATION_ONLY) if "test" in compose(line) else line)

    return values


def _over(search: Search, base: Mapping[str, Any]) -> dict[str, Any]:
    """What trials can be compared by."""
    return {
        "space": search.space.described(),
        "objectives": list(search.objectives),
        "config": json.loads(json.dumps(identity(base))),
    }


def _found(search: Search, objectives: Sequence[Objective], study: "Trials") -> Found:
    best = study.best_trials if len(objectives) > 1 else study.best_trials[:1]
    if not best:
        raise ValueError(
            f"no trial of the search '{search.name}' came to its end ({done(study)} were pruned): choose a milder "
            "pruner, or more trials"
        )
    rows = tuple(row(trial) for trial in study.get_trials(deepcopy=False))
    return Found(search, tuple(objectives), rows, tuple(row(trial) for trial in best), importances(study))
