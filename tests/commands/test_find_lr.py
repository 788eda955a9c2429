import json

import pytest
from matplotlib.image import imread

from lexigraft.commands import find_lr
from lexigraft.config.compose import jobs, loader
from lexigraft.config.preflight import SCHEMAS, preflight, without_hydra
from tests.fixtures.task import MODEL, SOURCE


@pytest.fixture
def config(task_overrides, tmp_path):
    """The checked config of a run of the tiny task with further overrides."""

    def compose(*overrides):
        with loader():
            words = [*task_overrides, *SOURCE, *MODEL, f"output_root={tmp_path}", *overrides]
            [(cfg, origin)] = jobs("train", words, multirun=False)
            return preflight(without_hydra(cfg), SCHEMAS["train"], origin)

    return compose


def test_it_prints_rates_and_leaves_the_curve(config, tmp_path, capsys):
    # A schedule with more warm-up than the test has steps must not stand in the way.
    cfg = config("scheduler.warmup=500", "optimizer.lr=1e-3", "trainer.batch_size=32")
    safe = find_lr.run(cfg, steps=200)
    [folder] = tmp_path.glob("default/find-lr-*")
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "curve.json", "curve.png"]
    curve = json.loads((folder / "curve.json").read_text())
    assert len(curve["rates"]) == len(curve["losses"]) == len(curve["smoothed"])
    assert safe == curve["safe"]
    assert 1e-3 < safe <= curve["lowest"] / 10
    assert curve["rates"][0] == pytest.approx(1e-7)
    assert imread(folder / "curve.png").std() > 0.05
    out = capsys.readouterr().out
    assert f"{safe:.1e}" in out
    assert "1.0e-03" in out
    assert "as configured" in out
    assert str(folder / "curve.png") in out.replace("\n", "")
    assert "warmup: 500" in (folder / "config.yaml").read_text()


def test_the_same_test_has_the_same_folder_and_result(config, tmp_path):
    first = find_lr.run(config(), steps=20)
    assert find_lr.run(config(), steps=20) == first
    assert len(list(tmp_path.glob("default/find-lr-*"))) == 1


def test_a_loss_that_does_not_fall_is_told_of(config, tmp_path, capsys):
    assert find_lr.run(config(), steps=20, first=1e-12, last=1e-10) is None
    assert "The loss never fell by more than its noise" in capsys.readouterr().out
    assert len(list(tmp_path.glob("default/find-lr-*/curve.png"))) == 1
