import json
from pathlib import Path

import pytest

from tests.fixtures.task import MODEL, SOURCE, call

pytest.importorskip("optuna")

SEARCH = ("-m", "hydra/launcher=processes", "hydra/sweeper=optuna")
RATES = "optimizer.lr=tag(log,interval(1e-4,1e-2))"


@pytest.fixture
def line(task_overrides: list[str], tmp_path: Path) -> list[str]:
    """The words of a short search."""
    words = [*task_overrides, *SOURCE, *MODEL, f"output_root={tmp_path}", "trainer.epochs=2", "seed=3"]
    return ["train", *SEARCH, *words]


def test_a_line_is_searched_on_validation_and_its_best_is_told(
    line: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [*line, RATES, "model.head_dropout=range(0.1,0.5,0.1)", "hydra.launcher.jobs=2"]
    assert call(*words, "hydra.sweeper.trials=3") == 0
    out, err = capfd.readouterr()
    assert [err.count(f"trial {number} finished: ") for number in range(4)] == [1, 1, 1, 0]
    found = json.loads((tmp_path / "studies/default/search.json").read_text())
    assert [trial["state"] for trial in found["trials"]] == ["complete"] * 3
    for trial in found["trials"]:
        run = tmp_path / "runs" / trial["run"]
        result = json.loads((run / "result.json").read_text())
        assert trial["values"] == [result["best"]["value"]]
        assert set(result["metrics"]) == {"dev"}
    best = found["best"][0]
    assert best["values"] == [max(trial["values"][0] for trial in found["trials"])]
    assert out.splitlines()[-1].endswith(f"{' '.join(best['words'])} seed=0,1,2,3,4")
    assert "seed=3" not in out.splitlines()[-1]
    assert (tmp_path / "studies/default/figures/history.png").is_file()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "error: there is nothing to search over: give at least one key several values, such as "),
        (["optimizer.lr=interval(1,0)"], "error: 'optimizer.lr=interval(1,0)': the first end of an interval should be"),
        (
            ["trainer.batch_size=interval(4,8)"],
            "error: trainer.batch_size=4.0 in the command line should be a valid integer; write trainer.b",
        ),
        ([RATES, "hydra.sweeper.trials=none"], "error: trials=none in hydra.sweeper should be"),
        ([RATES, "hydra.sweeper.sampler=tpee"], "error: unknown sampler 'tpee'; did you mean 'tpe'?"),
        ([RATES, "hydra.sweeper.storage=x.db"], "error: storage=x.db should be a file whose name ends with .journal"),
        ([RATES, "hydra.sweeper.objectives=[test/accuracy]"], "error: objective test/accuracy: a search sees"),
        ([RATES, "hydra/launcher=basic"], "error: hydra/sweeper=optuna runs its trials in processes of their own: use"),
        ([RATES, "hydra.sweeper.trails=3"], "error: unknown key 'hydra.sweeper.trails' in the command line"),
    ],
)
def test_a_mistake_is_told_before_the_first_trial(
    words: list[str], sentence: str, line: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    line = [word for word in line if not (word == "hydra/launcher=processes" and "hydra/launcher=basic" in words)]
    assert call(*line, *words) == 2
    err = capfd.readouterr().err
    assert err.startswith(sentence), err
    assert not (tmp_path / "runs").exists()
