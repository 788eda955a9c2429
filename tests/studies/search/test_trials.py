import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from lexigraft.config.errors import ConfigError
from lexigraft.studies.job import Job, Outcome
from lexigraft.studies.search.objective import Objective
from lexigraft.studies.search.sampling import SAMPLERS
from lexigraft.studies.search.space import Space, read_space
from lexigraft.studies.search.storage import open_study
from lexigraft.studies.search.trials import Settings, done, row, run_trials
from tests.studies.search.fakes import Here, Killed, finished, values_of

optuna = pytest.importorskip("optuna")

NUMBERS = read_space(["x=interval(-2,2)", "y=tag(log,interval(1e-3,10))", "z=int(interval(0,4))"])
GRID = read_space(["x=range(-1,2)", "y=range(0.0,1.0,0.5)", "model=a,b"])
VALUE = Objective("monitor", "maximize", "dev accuracy")


def bowl(job: Job) -> Outcome:
    """Best at x = 1, y = 0.1, z = 3."""
    v = job.values
    value = -((v["x"] - 1) ** 2) - math.log10(v["y"] + 1e-9) ** 2 / 9 - (v.get("z", 3) - 3) ** 2
    return finished(job, value)


class Bench:
    """A search in a folder: a call runs it, or goes on with it."""

    def __init__(self, root: Path, space: Space = NUMBERS, objectives: Sequence[Objective] = (VALUE,)) -> None:
        self.root, self.space, self.objectives = root, space, objectives
        self.told: list[dict[str, Any]] = []

    def study(self) -> Any:
        return open_study(str(self.root / "search.journal"), "s", [o.direction for o in self.objectives], {})

    def job(self, number: int, words: Sequence[str]) -> Job:
        return Job(f"trial {number}", values_of(words, self.root))

    def __call__(self, settings: Settings, work: Callable[[Job], Outcome] = bowl, size: int = 1) -> Here:
        pool = Here(work, size)
        run_trials(
            self.study(), self.space, settings, self.objectives, pool, self.job,
            lambda trial: self.told.append(dict(trial)), pause=0,
        )  # fmt: skip
        return pool

    def params(self) -> list[dict[str, Any]]:
        return [trial.params for trial in self.study().trials]


def killed_at(*calls: int) -> Callable[[Job], Outcome]:
    """The bowl, but the launcher is killed while some jobs run."""
    count = iter(range(10**6))

    def work(job: Job) -> Outcome:
        if next(count) in calls:
            raise Killed
        return bowl(job)

    return work


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "grid"])
def test_a_killed_search_goes_on_as_if_it_had_not_been(sampler: str, tmp_path: Path) -> None:
    settings = Settings(trials=14, sampler=sampler, seed=3)
    unbroken, broken = Bench(tmp_path / "a"), Bench(tmp_path / "b")
    unbroken(settings)
    ran = 0
    for trials, kill in ((14, 2), (14, 8), (12, -1), (14, -1)):
        try:
            ran += len(broken(Settings(trials, sampler, seed=3), killed_at(kill)).ran)
        except Killed:
            ran += kill
    assert ran == len({str(params) for params in broken.params()}) > 12
    assert broken.params() == unbroken.params()
    assert [t.values for t in broken.study().trials] == [t.values for t in unbroken.study().trials]
    assert Bench(tmp_path / "c")(Settings(3, sampler, seed=4)).ran[0].values != unbroken.told[0]["params"]


def test_a_search_comes_near_the_optimum(tmp_path: Path) -> None:
    search = Bench(tmp_path)
    search(Settings(trials=30))
    best = search.study().best_trial
    assert best.value > -0.3
    assert best.params["z"] == 3


def test_a_finished_search_runs_nothing(tmp_path: Path) -> None:
    search = Bench(tmp_path)
    assert len(search(Settings(trials=4)).ran) == 4
    assert search(Settings(trials=4)).ran == search(Settings(trials=2)).ran == []
    assert len(search(Settings(trials=5)).ran) == 1


def test_each_trial_is_told_and_kept_with_its_run(tmp_path: Path) -> None:
    search = Bench(tmp_path)
    pool = search(Settings(trials=2))
    assert [trial["run"] for trial in search.told] == [job.id for job in pool.ran]
    assert search.told == [row(trial) for trial in search.study().trials]
    first = search.told[0]
    assert (first["number"], first["state"], first["seconds"], first["epochs"]) == (0, "complete", 1.0, {})


def test_several_trials_run_at_once_and_differ(tmp_path: Path) -> None:
    search = Bench(tmp_path)
    pool = search(Settings(trials=30), size=4)
    assert pool.most == 4
    assert len(pool.ran) == len({job.id for job in pool.ran}) == 30


def test_several_that_ran_when_the_search_was_killed_run_again(tmp_path: Path) -> None:
    search = Bench(tmp_path)
    with pytest.raises(Killed):
        search(Settings(trials=8), killed_at(3), size=3)
    states = [trial.state.name for trial in search.study().trials]
    assert states == ["COMPLETE"] * 3 + ["RUNNING"] * 3
    before = search.params()
    pool = search(Settings(trials=8), size=1)
    assert len(pool.ran) == 5
    assert search.params()[:6] == before
    assert [trial.state.name for trial in search.study().trials] == ["COMPLETE"] * 8


def test_a_trial_that_was_only_half_proposed_is_given_up(tmp_path: Path) -> None:
    search = Bench(tmp_path)
    search.study().ask({"x": NUMBERS.distributions()["x"]})
    search(Settings(trials=2, seed=5))
    assert [trial.state.name for trial in search.study().trials] == ["FAIL", "COMPLETE", "COMPLETE"]
    fresh = Bench(tmp_path / "fresh")
    fresh(Settings(trials=2, seed=5))
    assert search.params()[1:] == fresh.params()


def test_a_grid_is_gone_through_once(tmp_path: Path) -> None:
    search = Bench(tmp_path, GRID)
    with pytest.raises(Killed):
        search(Settings(trials=100, sampler="grid"), killed_at(4), size=2)
    pool = search(Settings(trials=100, sampler="grid"))
    assert search.params() == list(GRID.grid())
    assert len(pool.ran) == 12 - 4
    assert search(Settings(trials=100, sampler="grid")).ran == []


def test_a_point_of_a_grid_that_failed_is_tried_again_in_the_next_call(tmp_path: Path) -> None:
    search = Bench(tmp_path, GRID)

    def work(job: Job) -> Outcome:
        bad = job.values["x"] == 0 and job.values["model"] == "b"
        return Outcome(job, "failed", error="out of memory\nat line 3") if bad else bowl(job)

    search(Settings(trials=100, sampler="grid"), work)
    failed = [trial for trial in search.told if trial["state"] == "fail"]
    assert [trial["error"] for trial in failed] == ["out of memory"] * 2
    assert len(search(Settings(trials=100, sampler="grid")).ran) == 2
    assert done(search.study()) == 12


def test_values_that_were_tried_are_not_run_again(tmp_path: Path) -> None:
    search = Bench(tmp_path, read_space(["x=1,2", "y=1.0,2.0"]))
    pool = search(Settings(trials=30), size=3)
    assert len(pool.ran) == len({job.id for job in pool.ran}) <= 4
    trials = search.study().trials
    assert len(trials) == 30
    for trial in trials:
        if (same := trial.user_attrs.get("same_as")) is not None:
            assert (trials[same].params, trials[same].values) == (trial.params, trial.values)
            assert trials[same].user_attrs["run"] == trial.user_attrs["run"]


def test_a_pruned_trial_counts_and_is_not_run_again(tmp_path: Path) -> None:
    search = Bench(tmp_path, read_space(["x=1,2", "y=choice(1.0)"]))

    def work(job: Job) -> Outcome:
        if job.values["x"] == 1:
            trial = next(t for t in search.study().trials if t.state.name == "RUNNING")
            optuna.trial.Trial(search.study(), trial._trial_id).report(0.5, 1)
            return Outcome(job, "pruned", 0.5)
        return bowl(job)

    search(Settings(trials=10, sampler="random"), work)
    pruned = [trial for trial in search.told if trial["state"] == "pruned"]
    assert done(search.study()) == 10
    assert len(pruned) > 1
    assert all(trial["epochs"] == {"1": 0.5} and trial["values"] is None for trial in pruned)


def test_a_run_in_use_is_asked_for_again(tmp_path: Path) -> None:
    search = Bench(tmp_path)
    answers = iter(["in_use", "in_use", "finished", "finished"])
    pool = search(
        Settings(trials=2), lambda job: bowl(job) if next(answers) == "finished" else Outcome(job, "in_use", error="x")
    )
    assert [trial.state.name for trial in search.study().trials] == ["COMPLETE"] * 2
    assert len({job.id for job in pool.ran}) == 2


@pytest.mark.parametrize("state", ["failed", "killed", "timeout"])
def test_a_failed_trial_does_not_count_and_the_others_go_on(state: Any, tmp_path: Path) -> None:
    search = Bench(tmp_path)
    search(
        Settings(trials=6),
        lambda job: Outcome(job, state, error="no memory") if job.name.endswith(("2", "5")) else bowl(job),
    )
    states = [trial.state.name for trial in search.study().trials]
    assert states == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE", "COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert search.told[2]["error"] == "no memory"


def test_a_search_whose_trials_fail_is_given_up(tmp_path: Path) -> None:
    search = Bench(tmp_path)
    with pytest.raises(ValueError, match=r"^3 of 3 trials failed, so the search was given up; trial 2 with: no file$"):
        search(Settings(trials=6), lambda job: Outcome(job, "failed", error="no file"))
    assert len(search(Settings(trials=6)).ran) == 6


def test_a_trial_without_a_value_fails(tmp_path: Path) -> None:
    search = Bench(tmp_path)
    search(Settings(trials=1), lambda job: finished(job, None if job.name == "trial 0" else 1.0))  # type: ignore[arg-type]
    assert search.told[0]["error"] == "the run has no value of monitor, which the search optimises"


def test_values_that_do_not_go_together_fail_with_their_sentence(tmp_path: Path) -> None:
    search = Bench(tmp_path)
    make = search.job

    def job(number: int, words: Sequence[str]) -> Job:
        if number == 0:
            raise ConfigError("x does not go with y")
        return make(number, words)

    search.job = job  # type: ignore[method-assign]
    search(Settings(trials=1))
    assert [(trial["state"], trial["error"]) for trial in search.told] == [
        ("fail", "x does not go with y"), ("complete", None),
    ]  # fmt: skip


def test_ctrl_c_leaves_trials_to_be_continued(tmp_path: Path) -> None:
    search = Bench(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        search(Settings(trials=3), lambda job: Outcome(job, "interrupted"))
    assert len(search(Settings(trials=3)).ran) == 3
    assert [trial.state.name for trial in search.study().trials] == ["COMPLETE"] * 3


def test_several_objectives_give_a_front(tmp_path: Path) -> None:
    size = Objective("counts/parameters", "minimize", "parameters")
    search = Bench(tmp_path, objectives=(VALUE, size))

    def work(job: Job) -> Outcome:
        return finished(job, -abs(job.values["x"] - 1), counts={"parameters": 100 + int(100 * job.values["x"])})

    search(Settings(trials=40, sampler="nsga2"), work)
    front = search.study().best_trials
    assert len(front) > 2
    assert all(-2 <= trial.params["x"] <= 1.01 for trial in front)


def test_a_search_in_sqlite_proposes_what_one_in_a_journal_does(tmp_path: Path) -> None:
    journal = Bench(tmp_path / "a")
    journal(Settings(trials=5))
    spec = f"sqlite:///{tmp_path}/x.db"
    study = open_study(spec, "s", ["maximize"], {})
    run_trials(study, NUMBERS, Settings(trials=5), [VALUE], Here(bowl), journal.job)
    assert [trial.params for trial in study.trials] == journal.params()
