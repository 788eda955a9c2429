from pathlib import Path

import pytest
from rich.console import Console

from lexigraft.runs.folder import read_json
from lexigraft.studies.plan import plan
from lexigraft.studies.search.launching import chosen, run_study
from lexigraft.studies.study import Launch, Search, Study
from tests.fixtures.task import MODEL, SOURCE

pytest.importorskip("optuna")


def test_a_study_is_searched_with_a_pruner_and_its_best_run_with_every_seed(
    task_overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = [*task_overrides, *SOURCE, *MODEL, f"output_root={tmp_path}", "trainer.epochs=3"]
    search = Search({"optimizer.lr": "1e-2,1e-7"}, trials=2, sampler="grid", pruner="asha")
    study = Study(axes={"seed": [0, 1]}, base=base, repeats=["seed"], name="rates", search=search)
    cells, console = plan(study), Console()
    assert chosen(study, cells) == []
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
    again, outcomes = run_study(study, cells, Launch(jobs=1), console)
    assert outcomes == []
    assert [cell.id for cell in chosen(study, cells)] == [cell.id for cell in again] == [cell.id for cell in runs]
