"""The trials of a search: proposed, run through a pool, told; and taken up again where a killed search left them."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from lexigraft.config.errors import ConfigError
from lexigraft.runs.folder import read_json
from lexigraft.studies.job import Job, Outcome
from lexigraft.studies.search.objective import Objective
from lexigraft.studies.search.sampling import point, sampler
from lexigraft.studies.search.space import Params, Space
from lexigraft.studies.search.storage import import_optuna

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial, Trial

RUN, ERROR, SECONDS, SAME_AS = "run", "error", "seconds", "same_as"  # what is noted of a trial
PAUSE = 2.0  # seconds, before a run that another process works on is asked for again
_FAILURES = 3  # so many failed trials, and as many as did not fail, end a search


@dataclass(frozen=True)
class Settings:
    """How to search: `trials` counts those that finished or were pruned, whoever ran them and when."""

    trials: int
    sampler: str = "tpe"
    pruner: str = "none"
    seed: int = 0
    sampler_settings: Mapping[str, Any] = field(default_factory=dict)
    pruner_settings: Mapping[str, Any] = field(default_factory=dict)


class Jobs(Protocol):
    """What a search needs of a pool."""

    @property
    def size(self) -> int: ...

    def submit(self, job: Job) -> None: ...

    def next(self) -> Outcome: ...


MakeJob = Callable[[int, tuple[str, ...]], Job]  # of a trial's number and its words; `ConfigError` if they do not fit
Told = Callable[[Mapping[str, Any]], None]  # is given each trial that has ended, as `row` has it


def run_trials(
    study: "optuna.Study",
    space: Space,
    settings: Settings,
    objectives: Sequence[Objective],
    pool: Jobs,
    make_job: MakeJob,
    told: Told | None = None,
    pause: float = PAUSE,
) -> None:
    """Run trials until `settings.trials` are done, a grid has been through, or as many failed as did not.

    Each is proposed by a sampler of its own, seeded by its place, and one that ran when the search was killed runs
    again under its number: so a search that goes on proposes what an unbroken one would have. Values that were tried
    are not run twice. `ValueError` where too many trials fail.
    """
    search = _Search(study, space, settings, objectives, pool, make_job, told)
    search.take_up()
    while True:
        while search.has_room() and (trial := search.proposed()) is not None:
            search.begin(trial)
        if not search.flying:
            break
        search.settle(pool.next(), pause)


def row(trial: "FrozenTrial") -> dict[str, Any]:
    """A trial in plain values: number, state, params, values, the epochs' dev metric, and what was noted of it."""
    done = trial.state.name == "COMPLETE"
    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "params": dict(trial.params),
        "values": list(trial.values) if done and trial.values else None,
        "epochs": {str(epoch): value for epoch, value in sorted(trial.intermediate_values.items())},
        **{name: trial.user_attrs.get(name) for name in (RUN, SECONDS, ERROR, SAME_AS)},
    }


def done(study: "optuna.Study") -> int:
    """How many trials finished or were pruned."""
    return sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in study.get_trials(deepcopy=False))


@dataclass
class _Search:
    study: "optuna.Study"
    space: Space
    settings: Settings
    objectives: Sequence[Objective]
    pool: Jobs
    make_job: MakeJob
    told: Told | None
    flying: dict[int, "tuple[Job, Trial]"] = field(default_factory=dict)  # by the identity of the job
    twins: list["tuple[Trial, Trial]"] = field(default_factory=list)  # a trial that waits, and the one it waits for
    tried: list[Params] = field(default_factory=list)  # points of a grid, in this call
    ended: int = 0
    failed: int = 0

    def take_up(self) -> None:
        """Begin again what ran when an earlier search was killed."""
        optuna = import_optuna()
        for old in self._trials():
            if old.state != optuna.trial.TrialState.RUNNING:
                continue
            if old.params.keys() != self.space.ranges.keys():  # killed while it was proposed
                self.study.tell(old.number, state=optuna.trial.TrialState.FAIL)
            else:
                self.begin(optuna.trial.Trial(self.study, old._trial_id))

    def has_room(self) -> bool:
        underway = len(self.flying) + len(self.twins)
        return len(self.flying) < self.pool.size and done(self.study) + underway < self.settings.trials

    def proposed(self) -> "Trial | None":
        """The next trial; None where a grid has no more."""
        if self.settings.sampler == "grid":
            over = [t.params for t in self._trials() if t.state.name != "FAIL"] + self.tried
            params = next((values for values in self.space.grid() if values not in over), None)
            if params is None:
                return None
            self.tried.append(params)
            self.study.sampler = point(params)
        else:
            place = sum(t.params.keys() == self.space.ranges.keys() for t in self._trials())
            self.study.sampler = sampler(
                self.settings.sampler, self.settings.seed + place, self.settings.sampler_settings
            )
        return self.study.ask(self.space.distributions())

    def begin(self, trial: "Trial") -> None:
        """Run a trial, unless its values were tried or are being tried."""
        for other in self._trials():
            if other.number != trial.number and other.params == trial.params:
                if other.state.name in ("COMPLETE", "PRUNED"):
                    self._copy(other, trial)
                    return
                flying = next((t for _, t in self.flying.values() if t.number == other.number), None)
                if flying is not None:
                    self.twins.append((trial, flying))
                    return
        try:
            job = self.make_job(trial.number, self.space.words(trial.params))
        except ConfigError as error:
            self._fail(trial, str(error))
            return
        trial.set_user_attr(RUN, job.id)
        self._submit(job, trial)

    def settle(self, outcome: Outcome, pause: float) -> None:
        """Tell what came of a job."""
        job, trial = self.flying.pop(id(outcome.job))
        if outcome.state == "interrupted":
            raise KeyboardInterrupt
        if outcome.state == "in_use":  # a job of a killed search is at its end; the run is then read, not made again
            if not self.flying:
                time.sleep(pause)
            self._submit(job, trial)
            return
        trial.set_user_attr(SECONDS, round(outcome.seconds, 3))
        if outcome.state == "pruned":
            self._tell(trial, None)
        elif outcome.state == "finished":
            try:
                result = read_json(job.folder / "result.json")
                self._tell(trial, [of.value(result) for of in self.objectives])
            except (OSError, ValueError) as error:
                self._fail(trial, str(error))
        else:
            self._fail(trial, outcome.sentence or outcome.state)
        for pair in [pair for pair in self.twins if pair[1].number == trial.number]:
            self.twins.remove(pair)
            self.begin(pair[0])

    def _submit(self, job: Job, trial: "Trial") -> None:
        self.flying[id(job)] = (job, trial)
        self.pool.submit(job)

    def _tell(self, trial: "Trial", values: list[float] | None) -> None:
        """The values of a trial that finished, None for one that was pruned."""
        states = import_optuna().trial.TrialState
        self.study.tell(trial.number, values, state=states.PRUNED if values is None else states.COMPLETE)
        self.ended += 1
        self._report(trial)

    def _fail(self, trial: "Trial", why: str) -> None:
        trial.set_user_attr(ERROR, why)
        self.study.tell(trial.number, state=import_optuna().trial.TrialState.FAIL)
        self.failed += 1
        self._report(trial)
        if self.failed >= max(_FAILURES, self.ended):
            raise ValueError(
                f"{self.failed} of {self.failed + self.ended} trials failed, so the search was given up; "
                f"trial {trial.number} with: {why}"
            )

    def _copy(self, other: "FrozenTrial", trial: "Trial") -> None:
        trial.set_user_attr(SAME_AS, other.number)
        trial.set_user_attr(RUN, other.user_attrs.get(RUN))
        if len(self.objectives) == 1:
            for epoch, value in other.intermediate_values.items():
                trial.report(value, epoch)
        self._tell(trial, list(other.values) if other.state.name == "COMPLETE" else None)

    def _report(self, trial: "Trial") -> None:
        if self.told is not None:
            self.told(row(next(t for t in self._trials() if t.number == trial.number)))

    def _trials(self) -> list["FrozenTrial"]:
        return self.study.get_trials(deepcopy=False)
