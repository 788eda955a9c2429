import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

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
    assert (folder / "provenance.parquet").is_file()
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
    assert "leaves a projection to training" in capsys.readouterr().err
    assert not (tmp_path / "char").exists()


def test_between_two_finished_vocabularies_without_texts(checkpoints, tmp_path, capsys):
    words = "source=hf", f"source.name={checkpoints['gpt2']}", f"tokenizer.name={checkpoints['bert']}"
    assert call("transplant", f"output={tmp_path / 'new'}", *words, "write=matrix") == 0
    assert torch.isfinite(load_file(tmp_path / "new" / "embeddings.safetensors")["rows"]).all()


def test_a_checkpoint_becomes_a_checkpoint(checkpoints, tmp_path, capsys):
    folder = tmp_path / "new"
    code = call(
        "transplant", f"output={folder}", "source=hf", f"source.name={checkpoints['llama']}",
        f"tokenizer.name={checkpoints['roberta']}", "shard_gb=0.0001", "pad_to_multiple_of=64",
    )  # fmt: skip
    out = capsys.readouterr().out
    assert code == 0
    model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert {key: value for key, value in info.items() if value} == {}
    tokenizer = AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(["a moving story", "the room"], padding=True, return_tensors="pt")
    assert model.generate(**batch, max_new_tokens=3, do_sample=False).max() < model.config.vocab_size
    assert model.config.vocab_size % 64 == 0
    assert model.config.eos_token_id == tokenizer.eos_token_id
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["checkpoint"]["rows"] == model.config.vocab_size
    assert summary["checkpoint"]["changed_tensors"] == ["lm_head.weight", "model.embed_tokens.weight"]
    assert (folder / "provenance.parquet").is_file()
    assert "base" in (folder / "README.md").read_text()
    assert f"written to  {folder}" in out
    # and is a source again, whose matrix is as long as the model's
    assert (
        call("transplant", f"output={tmp_path / 'again'}", "source=hf", f"source.name={folder}", "tokenizer=source")
        == 0
    )
    for file in ("config.json", "tokenizer.json"):
        assert (tmp_path / "again" / file).read_bytes() == (folder / file).read_bytes()


def test_a_padding_token_that_was_moved_is_told(checkpoints, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("lexigraft.surgery.positions._LARGEST_SHIFT", 10)
    words = "source=hf", f"source.name={checkpoints['roberta']}", f"tokenizer.name={checkpoints['gpt2']}"
    assert call("transplant", f"output={tmp_path / 'new'}", *words) == 0
    told = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("warning"))
    assert told.startswith("warning: the padding token was moved from id 858 to 1, where the positions of roberta")
    assert told.removeprefix("warning: ") in (tmp_path / "new/README.md").read_text()
    assert json.loads((tmp_path / "new/config.json").read_text())["pad_token_id"] == 1


def test_special_tokens_are_paired_by_hand_on_the_command_line(checkpoints, tmp_path, capsys):
    source = "source=hf", f"source.name={checkpoints['gpt2']}", f"tokenizer.name={checkpoints['bert']}"
    pairs = 'transplant.pairs=[["[MASK]", "<|endoftext|>"]]'
    assert call("transplant", f"output={tmp_path / 'new'}", *source, pairs) == 0, capsys.readouterr().err
    made = pd.read_parquet(tmp_path / "new/provenance.parquet").set_index("token")
    assert [each["token"] for each in made.loc["[MASK]", "sources"]] == ["<|endoftext|>"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("transplant.dim=8",), "are to be 8 wide, but the layers of"),
        (("transplant.resize=procrustes",), "transplant.resize=procrustes moves the rows into the space of another"),
        (("transplant.resize=linear", "transplant.dim=8"), "leaves a projection to training"),
    ],
)
def test_rows_that_the_layers_cannot_read_are_refused(words, says, checkpoints, tmp_path, capsys):
    source = "source=hf", f"source.name={checkpoints['gpt2']}", f"tokenizer.name={checkpoints['bert']}"
    assert call("transplant", f"output={tmp_path / 'new'}", *source, *words) == 1
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_vectors_are_no_checkpoint(line, tmp_path, capsys):
    assert line("write=checkpoint") == 1
    assert "is a matrix without a model: take source=hf source.name=..., or write=matrix" in capsys.readouterr().err
