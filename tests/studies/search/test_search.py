import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lexigraft.config.errors import ConfigError
from lexigraft.runs.identity import run_id
from lexigraft.studies.cell import Cell
from lexigraft.studies.job import Job, Outcome
from lexigraft.studies.pool import Pool
from lexigraft.studies.search.objective import objective
from lexigraft.studies.search.report import described, write_report
from lexigraft.studies.search.search import Compose, Found, Search, chosen_cells, is_done, read, searched, searches
from lexigraft.studies.search.space import read_space
from lexigraft.studies.search.trials import Settings
from lexigraft.studies.study import Search as Wanted
from lexigraft.studies.study import Study
from lexigraft.training.trial import VARIABLE
from tests.studies.search.fakes import Here, Killed, finished, values_of
from tests.studies.search.works import WORK

pytest.importorskip("optuna")

# Best where x is that of the data.
AIMS = {"sst2": 1.0, "trec": -1.0}


def study(trials: int = 12, **more: Any) -> Study:
    space = {"x": "interval(-2,2)", "y": "range(0,3)", "z": "5"}
    return Study(
        axes={"data": ["sst2", "trec"], "seed": [0, 1, 2]}, base=["trainer.epochs=3"], repeats=["seed"], name="reviews",
        search=Wanted(space, trials, sampler="random", **more),
    )  # fmt: skip


def cells(root: Path) -> list[Cell]:
    found = []
    for data in AIMS:
        for seed in "012":
            words = ("trainer.epochs=3", f"data={data}", f"seed={seed}")
            found.append(Cell({"data": data, "seed": seed}, words, values_of(words, root)))
    return found


def near(job: Job) -> Outcome:
    values = job.values
    return finished(job, -((values["x"] - AIMS[values["data"]]) ** 2) - values["y"])


def searched_all(of: Study, among: Sequence[Cell], pool: Here, compose: Compose) -> tuple[list[Found], list[Cell]]:
    groups = searches(of, among)
    found = [searched(wanted, pool, compose) for wanted, _ in groups]
    return found, [cell for each, (_, group) in zip(found, groups) for cell in chosen_cells(each, group, compose)]


def run(root: Path, of: Study, pool: Here) -> tuple[list[Found], list[Cell]]:
    found, chosen = searched_all(of, cells(root), pool, lambda words: values_of(words, root))
    pool.run([Job("best", cell.values) for cell in chosen])
    return found, chosen


def test_each_group_is_searched_on_validation_and_its_best_run_with_all_seeds(tmp_path: Path) -> None:
    pool = Here(near, size=2)
    found, chosen = run(tmp_path, study(), pool)
    trials, runs = pool.ran[:24], pool.ran[24:]
    assert [of.search.name for of in found] == ["data=sst2", "data=trec"]
    assert all(job.values["test"] is False and job.values["seed"] == 0 and job.values["z"] == 5 for job in trials)
    assert [(job.values["data"], job.values["seed"], job.values["test"]) for job in runs] == [
        (data, seed, True) for data in AIMS for seed in (0, 1, 2)
    ]
    for of, data in zip(found, AIMS):
        best = of.best[0]["params"]
        assert best == min((t["params"] for t in of.trials), key=lambda p: (p["x"] - AIMS[data]) ** 2 + p["y"])
        assert all(job.values["x"] == best["x"] for job in runs if job.values["data"] == data)
    assert [cell.labels for cell in chosen] == [cell.labels for cell in cells(tmp_path)]
    assert [cell.id for cell in chosen] == [job.id for job in runs]
    assert (tmp_path / "studies" / "reviews" / "search.journal").is_file()


@pytest.mark.parametrize("kill", [0, 7, 12, 23, 25])
def test_a_killed_study_goes_on_and_chooses_the_same(kill: int, tmp_path: Path) -> None:
    unbroken, _ = run(tmp_path / "a", study(), Here(near))
    count = iter(range(100))

    def work(job: Job) -> Outcome:
        if next(count) == kill:
            raise Killed
        return near(job)

    with pytest.raises(Killed):
        run(tmp_path / "b", study(), Here(work, size=2))
    pool = Here(near)
    found, _ = run(tmp_path / "b", study(), pool)
    assert len(pool.ran) == max(30 - kill, 6)  # runs of cells that are finished are shown by the run itself
    assert [of.best[0]["params"] for of in found] == [of.best[0]["params"] for of in unbroken]


def test_a_finished_search_can_be_read(tmp_path: Path) -> None:
    def compose(words: Sequence[str]) -> Mapping[str, Any]:
        return values_of(words, tmp_path)

    (search, group), _ = searches(study(), cells(tmp_path))
    assert read(search, compose) is None
    assert list(tmp_path.iterdir()) == []
    done = searched(search, Here(near), compose)
    again = read(search, compose)
    assert again == done
    assert is_done(again)
    assert [cell.overrides[-2:] for cell in chosen_cells(again, group, compose)] == [done.words] * 3
    (more, _), _ = searches(study(trials=13), cells(tmp_path))
    assert not is_done(read(more, compose))
    changed = study()
    changed.search.space["y"] = "range(0,4)"
    with pytest.raises(ConfigError, match="the range of y was 0 to 2, step 1 and is now 0 to 3, step 1"):
        read(searches(changed, cells(tmp_path))[0][0], compose)


def test_a_grid_is_done_when_it_has_been_through(tmp_path: Path) -> None:
    def compose(words: Sequence[str]) -> Mapping[str, Any]:
        return {**values_of(words, tmp_path), "data": "sst2"}

    storage = str(tmp_path / "x.journal")
    search = Search("s", storage, read_space(["x=1.0,2.0", "y=0,1"]), (), Settings(100, "grid"))
    found = searched(search, Here(near), compose)
    assert is_done(found)
    assert found.words == ("x=1.0", "y=0")


def test_a_changed_study_is_refused(tmp_path: Path) -> None:
    run(tmp_path, study(trials=2), Here(near))
    changed = study(trials=3)
    changed.search.space["x"] = "interval(-2,3)"
    with pytest.raises(
        ConfigError, match="the range of x was -2.0 to 2.0 and is now -2.0 to 3.0; give another storage="
    ):
        run(tmp_path, changed, Here(near))
    others = [Cell(c.labels, (*c.overrides, "trainer.epochs=5"), c.values) for c in cells(tmp_path)]
    with pytest.raises(ConfigError, match="trainer.epochs was 3 and is now 5; give another storage="):
        searched_all(study(3), others, Here(near), lambda words: values_of(words, tmp_path))
    pool = Here(near)
    run(tmp_path, study(trials=3), pool)
    assert len(pool.ran) == 2 + 6


def test_every_config_that_does_not_fit_is_told_before_the_first_trial(tmp_path: Path) -> None:
    def compose(words: Sequence[str]) -> Mapping[str, Any]:
        values = values_of(words, tmp_path)
        if values["y"] == 2 or values["x"] == 2:
            raise ConfigError(f"there is no {'y' if values['y'] == 2 else 'x'}=2")
        return values

    pool = Here(near)
    with pytest.raises(ConfigError) as error:
        searched_all(study(), cells(tmp_path), pool, compose)
    assert error.value.problems == ("there is no x=2", "there is no y=2")
    assert pool.ran == []


def test_a_trial_with_a_pruner_is_told_where_to_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pool = Here(near)
    run(tmp_path, study(trials=2, pruner="hyperband", storage="x.journal"), pool)
    told = json.loads(pool.ran[1].env[VARIABLE])
    assert told == {
        "storage": str(tmp_path / "x.journal"), "study": "data=sst2", "trial": 1,
        "pruner": {"name": "hyperband", "epochs": 3, "settings": {}},
    }  # fmt: skip
    assert VARIABLE not in pool.ran[-1].env


def test_a_search_without_a_finished_trial_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^no trial of the search 'data=sst2' came to its end \(2 were pruned\)"):
        run(tmp_path, study(trials=2, pruner="asha"), Here(lambda job: Outcome(job, "pruned")))


def test_a_search_is_reported_in_files(tmp_path: Path) -> None:
    (search, _), _ = searches(study(), cells(tmp_path))
    found = searched(search, Here(near), lambda words: values_of(words, tmp_path))
    write_report(found, tmp_path / "out")
    written = json.loads((tmp_path / "out" / "search.json").read_text())
    assert written == json.loads(json.dumps(described(found)))
    assert written["best"][0]["words"] == list(found.words)
    assert written["space"] == {"x": "-2.0 to 2.0", "y": "0 to 2, step 1"}
    assert written["words"] == ["trainer.epochs=3", "data=sst2", "seed=0", "z=5"]
    assert sum(written["importances"].values()) == pytest.approx(1)
    pictures = sorted(path.name for path in (tmp_path / "out" / "figures").iterdir())
    assert pictures == ["history.pdf", "history.png", "importances.pdf", "importances.png"]


def test_several_objectives_are_reported_with_their_front(tmp_path: Path) -> None:
    def compose(words: Sequence[str]) -> Mapping[str, Any]:
        return {**values_of(words, tmp_path), "data": "sst2"}

    def work(job: Job) -> Outcome:
        return finished(job, -((job.values["x"] - 1) ** 2), seconds={"train": 3 + job.values["x"]})

    space, names = read_space(["x=interval(-2,2)"]), ("monitor", "seconds/train")
    search = Search("s", str(tmp_path / "x.journal"), space, (), Settings(25, "nsga2"), names)
    found = searched(search, Here(work), compose)
    assert len(found.best) > 2
    write_report(found, tmp_path)
    assert (tmp_path / "figures" / "front.png").is_file()
    assert [of["direction"] for of in described(found)["objectives"]] == ["maximize", "minimize"]


SEARCH = """
import sys
from pathlib import Path
from lexigraft.studies.pool import Pool
from lexigraft.studies.search.search import Search, searched
from lexigraft.studies.search.space import read_space
from lexigraft.studies.search.trials import Settings
from tests.studies.search.fakes import values_of
from tests.studies.search.works import WORK

root = Path(sys.argv[1])
search = Search("s", str(root / "x.journal"), read_space(["x=interval(-2,2)"]), ("seconds=0.05",), Settings(10, seed=1))
done = 0

def told(trial):
    global done
    done += 1
    if done == int(sys.argv[2]):
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)

with Pool(jobs=2, work=WORK) as pool:
    searched(search, pool, lambda words: values_of(words, root), told)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a process with its parent")
def test_a_search_through_processes_goes_on_after_a_kill_of_the_launcher(tmp_path: Path) -> None:
    def compose(words: Sequence[str]) -> Mapping[str, Any]:
        return values_of(words, tmp_path)

    done = subprocess.run([sys.executable, "-c", SEARCH, str(tmp_path), "4"], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    space = read_space(["x=interval(-2,2)"])
    search = Search("s", str(tmp_path / "x.journal"), space, ("seconds=0.05",), Settings(10, seed=1))
    with Pool(jobs=2, work=WORK) as pool:
        found = searched(search, pool, compose)
    assert [trial["state"] for trial in found.trials] == ["complete"] * 10
    assert [trial["number"] for trial in found.trials] == list(range(10))
    words = [(*search.words, *space.words(trial["params"]), "test=false") for trial in found.trials]
    runs = [run_id(compose(line)) for line in words]
    assert [trial["run"] for trial in found.trials] == runs
    assert sorted(os.listdir(tmp_path / "runs")) == sorted(runs)
    ends = [json.loads((tmp_path / "runs" / run / "status.json").read_text())["name"] for run in runs]
    assert ends == ["finished"] * 10


def test_objectives_are_named_with_their_direction() -> None:
    values = {"trainer": {"monitor": "loss"}}
    found = {
        name: objective(name, values) for name in ("monitor", "dev/macro_f1", "seconds/train", "counts/parameters")
    }
    assert [of.direction for of in found.values()] == ["minimize", "maximize", "minimize", "minimize"]
    assert found["monitor"].label == "dev loss"
    result = {
        "best": {"value": 0.4}, "metrics": {"dev": {"macro_f1": 0.5}, "dev/topic": {"accuracy": 0.6}},
        "seconds": {"train": 7}, "counts": {"parameters": 8},
    }  # fmt: skip
    assert [of.value(result) for of in found.values()] == [0.4, 0.5, 7, 8]
    assert objective("dev/topic/accuracy", values).value(result) == 0.6


def test_without_a_monitor_it_is_the_tasks_own() -> None:
    loss = {"_target_": "lexigraft.tasks.losses.CrossEntropy", "_partial_": True}
    for kind, direction in (("classification.Classification", "maximize"), ("regression.Regression", "minimize")):
        task = {"_target_": f"lexigraft.tasks.{kind}", "_partial_": True, "loss": loss}
        assert objective("monitor", {"trainer": {"monitor": None}, "task": task}).direction == direction


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("test/accuracy", "objective test/accuracy: a search sees validation only; optimise dev/accuracy"),
        ("test/topic/f1", "objective test/topic/f1: a search sees validation only; optimise dev/topic/f1"),
        ("dev/acuracy", "unknown objective 'dev/acuracy': give monitor, a dev metric such as dev/macro_f1"),
        ("accuracy", "unknown objective 'accuracy': give monitor, a dev metric such as dev/macro_f1"),
    ],
)
def test_other_objectives_are_refused(name: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        objective(name, {})
    assert str(error.value).startswith(sentence)
