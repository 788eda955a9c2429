from pathlib import Path

import pytest
from rich.console import Console

from lexigraft.runs.folder import read_json
from lexigraft.studies.plan import plan
from lexigraft.studies.search.launching import chosen, run_study
from lexigraft.studies.search.standing import standing_text
from lexigraft.studies.study import Launch, Search, Study
from tests.fixtures.task import MODEL, SOURCE

pytest.importorskip("optuna")


def test_a_study_is_searched_with_a_pruner_and_its_best_run_with_every_seed(
    task_overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = [*task_overrides, *SOURCE, *MODEL, f"output_root={tmp_path}", "trainer.epochs=3"]
    search = Search({"optimizer.lr": "1e-2,1e-7"}, trials=2, sampler="grid", pruner="asha")
    study = Study(axes={"seed": [0, 1]}, base=base, repeats=["seed"], name="rates", search=search)
    cells, console = plan(study), Console(width=200)
    assert chosen(study, cells) == []
    console.print(standing_text(study, cells, jobs=1))
    assert capsys.readouterr().out.splitlines() == [
        "search rates: 0 of 2 trials done", "time left of the searches: unknown until a trial has finished",
    ]  # fmt: skip
    runs, outcomes = run_study(study, cells, Launch(jobs=1), console)
    assert "trial 1: optimizer.lr=1e-07" in capsys.readouterr().out
    assert [outcome.state for outcome in outcomes] == ["finished"] * 2
    assert [read_json(cell.folder / "result.json")["metrics"].keys() for cell in runs] == [{"dev", "test"}] * 2
    found = read_json(tmp_path / "studies/rates/searches/rates/search.json")
    good, poor = found["trials"]
    assert (good["state"], list(good["epochs"])) == ("complete", ["1", "2", "3"])
    assert (poor["state"], list(poor["epochs"])) == ("pruned", ["1"])
    assert read_json(tmp_path / "runs" / poor["run"] / "status.json")["name"] == "pruned"
    assert found["best"] == [{**good, "words": ["optimizer.lr=0.01"]}]
    console.print(standing_text(study, cells, jobs=1))
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"search rates: 2 of 2 trials done (1 pruned); best dev accuracy {good['values'][0]:.4f} with optimizer.lr=0.01"
    )
    study.search.trials = 4  # a grid of two is done all the same
    console.print(standing_text(study, cells, jobs=1))
    assert "time left" not in capsys.readouterr().out
    study.search.sampler = "random"
    console.print(standing_text(study, cells, jobs=2))
    assert capsys.readouterr().out.splitlines()[-1].endswith(" s with 2 at once")
    study.search.trials, study.search.sampler = 2, "grid"
    again, outcomes = run_study(study, cells, Launch(jobs=1), console)
    assert outcomes == []
    assert [cell.id for cell in chosen(study, cells)] == [cell.id for cell in again] == [cell.id for cell in runs]
