"""`lexigraft pretrain`: its run folder, what can be made of it, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lexigraft.embeddings.write import read_matrix
from tests.fixtures.task import call

SMALL = (
    "backbone.settings.hidden_size=16", "backbone.settings.intermediate_size=16",
    "backbone.settings.num_hidden_layers=1", "backbone.settings.num_attention_heads=2",
)  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The overrides of a run on a hundred lines, and the folder that its file lies in."""
    folder = tmp_path_factory.mktemp("corpus")
    draw, words = np.random.default_rng(0), ["房间", "服务", "很好", "干净", "吵闹", "酒店", "早餐", "不错", "方便"]
    lines = ["，".join(draw.choice(words, draw.integers(2, 9))) + "。" for _ in range(150)]
    (folder / "lines.txt").write_text("\n".join(lines), encoding="utf-8")
    return [
        "corpus=[text]", f"corpus.text.root={folder}", "corpus.text.path=lines.txt", "dev_share=0.1",
        "trainer.epochs=2", "trainer.batch_size=4", "trainer.max_tokens=32", "trainer.progress=false",
        "optimizer.lr=1e-2", "hardware=cpu", "hardware.threads=1",
    ]  # fmt: skip


def pretrain(base, root: Path, *words: str) -> Path:
    assert call("pretrain", *base, f"output_root={root}", *words) == 0
    [folder] = (root / "runs").iterdir()
    return folder


@pytest.fixture(scope="module")
def bert(base, tmp_path_factory):
    """The run folder of a small BERT."""
    return pretrain(base, tmp_path_factory.mktemp("bert"), *SMALL)


def result_of(folder):
    return json.loads((folder / "result.json").read_text())


def test_the_run_folder_tells_of_the_run(bert):
    result = result_of(bert)
    assert (result["status"], result["monitor"], len(result["history"])) == ("finished", "loss", 2)
    assert result["best"]["value"] == result["metrics"]["dev"]["loss"] < result["history"][0]["train_loss"]
    assert result["metrics"]["dev"]["bits_per_byte"] > 0
    provenance = json.loads((bert / "provenance.json").read_text())
    assert provenance["data"]["report"]["documents"] == 150
    assert (bert / "figures" / "learning_curve.png").is_file()
    assert not (bert / "checkpoints" / "last.ckpt").exists()


def test_it_is_shown_and_reproduced(bert, capsys):
    assert call("show", str(bert)) == 0
    shown = capsys.readouterr().out
    assert "bits per byte" in shown
    assert "of them trained" in shown
    assert call("reproduce", str(bert)) == 0
    assert "different" not in capsys.readouterr().out


def test_transformers_loads_the_checkpoint(bert):
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    model, loading = AutoModelForMaskedLM.from_pretrained(bert / "pretrained", output_loading_info=True)
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]
    ids = AutoTokenizer.from_pretrained(bert / "pretrained")("房间很好")["input_ids"]
    assert len(ids) == 6
    assert model(torch.tensor([ids])).logits.shape[-1] == model.config.vocab_size


def test_it_is_a_source_of_further_runs(bert, train, base, tmp_path):
    source = ("source=hf", f"source.name={bert / 'pretrained'}")
    fine_tuned = train("trainer.epochs=1", "tokenizer=source", source=source, model=("model=pretrained",))
    assert json.loads((fine_tuned / "model.json").read_text())["rows"][1] == 16
    further = pretrain(
        base, tmp_path, *source, "tokenizer=wordpiece", "tokenizer.size=40", "backbone=source",
        "finetune=embedding_first", "finetune.epochs=1",
    )  # fmt: skip
    assert result_of(further)["best"]["value"] < result_of(bert)["history"][0]["dev_loss"]
    assert (further / "transplant" / "summary.json").is_file()


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["backbone=electra", "objective=replaced", "export.weights=fp16", *SMALL], "ForPreTraining"),
        (["backbone=gpt2", "objective=causal", "trainer.pack=false", SMALL[0], *SMALL[2:3]], "ForCausalLM"),
    ],
    ids=["replaced", "causal"],
)
def test_other_objectives(base, tmp_path, words, kind):
    import transformers

    folder = pretrain(base, tmp_path, *words, "trainer.epochs=1")
    model = getattr(transformers, f"AutoModel{kind}").from_pretrained(folder / "pretrained", dtype="auto")
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
    assert result_of(folder)["best"]["value"] > 0


def test_a_killed_run_goes_on_to_the_same_bits(base, bert, tmp_path, monkeypatch):
    from lexigraft.training.callbacks import EpochLines

    whole, ending = result_of(bert), EpochLines.on_train_batch_end

    def killed(self, trainer, *rest):
        ending(self, trainer, *rest)
        if trainer.global_step == whole["history"][1]["step"] - 1:
            raise MemoryError("as if killed")

    words = [*base, *SMALL, f"output_root={tmp_path}", "trainer.checkpoint_every=0.00001"]
    monkeypatch.setattr(EpochLines, "on_train_batch_end", killed)
    assert call("pretrain", *words) == 1
    monkeypatch.undo()
    assert call("pretrain", *words) == 0
    [folder] = (tmp_path / "runs").iterdir()
    assert result_of(folder)["history"] == whole["history"]


def test_two_processes_take_the_steps_of_one(base, bert, tmp_path):
    dropout = [f"backbone.settings.{name}=0" for name in ("hidden_dropout_prob", "attention_probs_dropout_prob")]
    one = pretrain(base, tmp_path / "one", *SMALL, *dropout, "trainer.epochs=1")
    two = pretrain(base, tmp_path / "two", *SMALL, *dropout, "trainer.epochs=1", "hardware.devices=2")
    assert result_of(two)["processes"] == 2
    for key in ("train_loss", "dev_loss", "dev_accuracy"):
        assert result_of(two)["history"][0][key] == pytest.approx(result_of(one)["history"][0][key], abs=1e-5)


def test_it_can_be_swept(base, tmp_path):
    words = [*base, *SMALL, f"output_root={tmp_path}", "trainer.epochs=1"]
    assert call("pretrain", "-m", *words, "seed=0,1") == 0
    assert len({result_of(folder)["best"]["value"] for folder in (tmp_path / "runs").iterdir()}) == 2


def test_static_vectors(base, tmp_path, task_overrides, capsys):
    words = ["objective=skipgram", "tokenizer=word", "objective.dim=8", "objective.min_count=2", "objective.epochs=2"]
    folder = pretrain(base, tmp_path, *words)
    matrix = read_matrix(str(folder / "pretrained"))
    assert matrix.rows.shape == (len(matrix.vocabulary), 8)
    assert result_of(folder)["best"]["value"] == result_of(folder)["metrics"]["dev"]["loss"] > 0
    before = (folder / "result.json").read_bytes()
    capsys.readouterr()
    pretrain(base, tmp_path, *words)
    assert "finished already" in capsys.readouterr().out
    assert (folder / "result.json").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["tokenizer=char"], "mask"),
        (["objective=causal"], "objective=causal does not fit the backbone bert"),
        (["backbone=source"], "backbone=source takes the layers of a checkpoint, and source=none has none"),
        (["trainer.monitor=acuracy"], "is no metric of this objective; did you mean 'accuracy'"),
        (["corpus.text.path=nothing.txt"], "no data file nothing.txt"),
        (["source.std=0"], "source.std is 0"),
        (["export.part=generator"], "export.part=generator is what objective=replaced trains beside its model"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(base, tmp_path, capsys, words, told):
    small = () if "backbone=source" in words else SMALL
    assert call("pretrain", *base, *small, f"output_root={tmp_path}", *words) != 0
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error


def test_classifiers_need_a_source(task_overrides, tmp_path, capsys):
    assert call("train", *task_overrides, "source=none", f"output_root={tmp_path}") == 2
    assert "source=none has no rows, which only lexigraft pretrain draws anew" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_a_pretraining_has_no_classes(bert, command, capsys):
    words = ["很好"] if command == "predict" else []
    assert call(command, str(bert), *words) == 1
    assert "is a pretraining" in capsys.readouterr().err
