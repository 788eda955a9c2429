"""Whole runs whose batches are trained in parts."""

import json

import pytest
import torch

from tests.fixtures.task import MODEL, SOURCE, call

PLAIN = ("trainer.epochs=2", "trainer.batch_size=32", "model.head_dropout=0", "model.embedding_dropout=0")


@pytest.fixture(scope="module")
def whole(train):
    return train(*PLAIN)


def told(folder):
    return json.loads((folder / "result.json").read_text())


def test_parts_give_the_run_of_whole_batches(train, whole):
    parts = train(*PLAIN, "trainer.micro_batch=5")
    one, other = told(whole), told(parts)
    assert parts.name == whole.name  # as with other numbers of processes
    assert (one["micro_batch"], other["micro_batch"]) == (None, 5)
    assert [row["train_loss"] for row in other["history"]] == pytest.approx(
        [row["train_loss"] for row in one["history"]], rel=1e-5
    )
    assert other["memory"]["batch"][0] == 5
    assert other["memory"]["bytes"]["activations"] < one["memory"]["bytes"]["activations"]


def test_what_fits_is_found_told_and_kept_for_going_on(train, whole, capsys):
    folder = train(*PLAIN, "trainer.micro_batch=auto", "trainer.keep_last=true")
    assert "micro batch 32 of 32 texts\n" in capsys.readouterr().out
    result = told(folder)
    assert result["micro_batch"] == 32
    assert result["memory"]["batch"][0] == 1
    assert result["history"] == told(whole)["history"]  # all at once, as if nothing had been tried
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["callbacks"]["FittingMicroBatch"] == {"found": 32}


def test_what_mixes_texts_of_a_batch_is_refused_before_anything_is_read(task_overrides, tmp_path, capsys):
    wrong = ("regularise=[mixup]", "trainer.micro_batch=4", f"data.root={tmp_path}", f"output_root={tmp_path}")
    assert call("train", *task_overrides, *SOURCE, *MODEL, *wrong) != 0
    assert "regularise=[mixup] mixes texts of the whole batch: use trainer.micro_batch=null" in capsys.readouterr().err
