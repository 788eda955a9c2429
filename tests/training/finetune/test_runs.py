"""Regimes in whole runs of the command line."""

import json

import pyarrow.parquet as pq
import pytest
import torch

from lexigraft.transplant.provenance import COPIED
from tests.fixtures.task import call

TRANSFORMER = ("model=transformer", "model.encoder.feedforward=16")
ROWS = "model.embedding.lookup.weight"


@pytest.fixture(scope="module")
def run_of(train):
    """A function that trains the tiny task with a Transformer and a constant rate; the loss falls in every epoch."""

    def run(*overrides):
        return train(
            *overrides,
            "scheduler=constant",
            "trainer.monitor=loss",
            "test=false",
            "trainer.keep_last=true",
            model=TRANSFORMER,
        )

    return run


def checkpoint(folder, epochs):
    """The checkpoint of the last of so many epochs."""
    found = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert found["epoch"] == epochs - 1
    return found


@pytest.fixture(scope="module")
def start(run_of):
    """The weights of a run that trains the head alone: all others as every run begins."""
    only = ("finetune=partial", "finetune.last=0", "finetune.train=[heads.*]")
    return checkpoint(run_of(*only, "trainer.epochs=1"), 1)["state_dict"]


def test_gradual_unfreezing_goes_down_epoch_by_epoch(run_of, start):
    run = run_of("finetune=gradual", "finetune.discriminative=2.0", "trainer.epochs=2")
    found = checkpoint(run, 2)
    changed = {name for name, weight in found["state_dict"].items() if not torch.equal(weight, start[name])}
    top = ("model.heads.", "model.encoder.layers.layers.1.", "model.encoder.layers.norm.")
    assert changed == {name for name in start if name.startswith(top)}
    [optimizer] = found["optimizer_states"]
    rates = {name: group["lr"] for group in optimizer["param_groups"] for name in group["names"]}
    assert rates["heads.main.weight"] == pytest.approx(1e-2)
    assert rates["encoder.layers.layers.1.linear1.weight"] == pytest.approx(5e-3)
    assert rates["encoder.layers.layers.0.linear1.weight"] == pytest.approx(2.5e-3)
    assert rates["embedding.lookup.weight"] == pytest.approx(1.25e-3)


def test_rates_change_with_the_phase(run_of):
    run = run_of("finetune=embedding_first", "finetune.first_scale=0.1", "finetune.body_scale=0.5", "trainer.epochs=2")
    [optimizer] = checkpoint(run, 2)["optimizer_states"]
    rates = {name: group["lr"] for group in optimizer["param_groups"] for name in group["names"]}
    assert rates["embedding.lookup.weight"] == pytest.approx(1e-2)
    assert rates["encoder.layers.layers.1.linear1.weight"] == pytest.approx(5e-3)


def test_transfer_moves_new_rows_first(run_of, start):
    run = run_of("finetune=transfer", "trainer.epochs=1")
    table = pq.read_table(run / "transplant" / "provenance.parquet").to_pydict()
    copied = torch.tensor([tier in COPIED for tier in table["tier"]])
    moved = (checkpoint(run, 1)["state_dict"][ROWS] != start[ROWS]).any(1)
    assert moved[~copied].any()
    assert not moved[copied].any()


def test_adapters_are_trained_saved_and_opened_again(run_of, capsys):
    run = run_of("finetune=lora", "trainer.epochs=2")
    assert any(".lora_A." in name for name in checkpoint(run, 2)["state_dict"])
    assert call("evaluate", str(run), "--split", "dev") == 0
    again = json.loads((run / "evaluation_dev.json").read_text(encoding="utf-8"))
    assert again == json.loads((run / "result.json").read_text(encoding="utf-8"))["metrics"]["dev"]
