import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.fixtures.task import SOURCE, call


@pytest.fixture
def line(task_data, tmp_path):
    return lambda *more: call("transplant", f"output={tmp_path / 'char'}", *task_data, *SOURCE, "tokenizer=char", *more)


def test_matrix_tokenizer_and_provenance_are_written(line, task, tmp_path, capsys):
    assert line() == 0
    folder = tmp_path / "char"
    rows = load_file(folder / "embeddings.safetensors")["rows"]
    source = torch.from_numpy(np.load(task / "vectors.npz")["vectors"])
    words = (task / "vocab.txt").read_text(encoding="utf-8").split()
    entries = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    assert torch.equal(rows[entries["好"]], source[words.index("好")])
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["target_tokens"] == len(rows)
    assert 0.5 < summary["coverage_of_occurrences"] < 1
    assert (folder / "provenance.npz").is_file()
    assert "covered by the source" in capsys.readouterr().out


def test_what_was_written_is_a_source_again(line, tmp_path, train, capsys):
    assert line() == 0
    run = train("trainer.epochs=1", source=("source=matrix", f"source.path={tmp_path / 'char'}"))
    summary = json.loads((run / "transplant" / "summary.json").read_text(encoding="utf-8"))
    assert summary["coverage_of_types"] == 1.0


def test_nothing_is_overwritten(line, tmp_path, capsys):
    (tmp_path / "char").mkdir()
    assert line() == 1
    assert "exists already" in capsys.readouterr().err


def test_a_projection_that_is_learned_cannot_be_written(line, tmp_path, capsys):
    assert line("transplant.dim=4", "transplant.resize=linear") == 1
    assert "is learned in training" in capsys.readouterr().err
    assert not (tmp_path / "char").exists()


def test_between_two_finished_vocabularies_without_texts(checkpoints, tmp_path, capsys):
    code = call(
        "transplant", f"output={tmp_path / 'new'}", "source=hf", f"source.name={checkpoints['gpt2']}",
        f"tokenizer.name={checkpoints['bert']}",
    )  # fmt: skip
    assert code == 0
    assert torch.isfinite(load_file(tmp_path / "new" / "embeddings.safetensors")["rows"]).all()
