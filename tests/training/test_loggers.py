import sys

import pytest

from lexigraft.training import loggers


def test_csv_is_always_there(tmp_path):
    assert [type(x).__name__ for x in loggers.csv(tmp_path, {})] == ["CSVLogger"]


def test_tensorboard_mirrors_csv(tmp_path):
    found = loggers.tensorboard(tmp_path, {})
    assert [type(x).__name__ for x in found] == ["CSVLogger", "TensorBoardLogger"]
    found[1].log_metrics({"a": 1.0}, step=1)
    found[1].save()
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_wandb_mirrors_csv_offline(tmp_path):
    found = loggers.wandb(tmp_path, {"seed": 1})
    assert [type(x).__name__ for x in found] == ["CSVLogger", "WandbLogger"]
    assert (tmp_path / "wandb").is_dir()
    found[1].experiment.finish()


def test_wandb_that_cannot_start_costs_no_run(tmp_path, monkeypatch, caplog):
    import wandb

    def broken(**settings):
        raise wandb.Error("no network")

    monkeypatch.setattr(wandb, "init", broken)
    assert [type(x).__name__ for x in loggers.wandb(tmp_path, {})] == ["CSVLogger"]
    assert "no network" in caplog.text


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_missing_extra_is_named(tmp_path, monkeypatch, name):
    missing = ["wandb"] if name == "wandb" else ["tensorboard", "torch.utils.tensorboard", "tensorboardX"]
    for module in missing:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr("pytorch_lightning.loggers.tensorboard._TENSORBOARD_AVAILABLE", False, raising=False)
    monkeypatch.setattr("lightning_fabric.loggers.tensorboard._TENSORBOARD_AVAILABLE", False, raising=False)
    monkeypatch.setattr("lightning_fabric.loggers.tensorboard._TENSORBOARDX_AVAILABLE", False, raising=False)
    with pytest.raises(ValueError, match=rf"pip install 'lexigraft\[{name}\]'"):
        getattr(loggers, name)(tmp_path, {})
