import csv
import json
import math
import signal
import subprocess
import sys

import pytest
import torch
from transformers import AutoTokenizer

from lexigraft.embeddings.checkpoint import read_checkpoint
from lexigraft.runs.state import RunState, claimed
from tests.fixtures.task import MODEL, SOURCE, call


def read(folder, name):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def weights(folder, name="best"):
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]


def test_a_run_leaves_everything_that_the_page_on_outputs_promises(trained):
    found = {str(p.relative_to(trained)) for p in trained.rglob("*") if p.is_file()}
    assert found >= {
        "config.yaml", "result.json", "provenance.json", "model.json", "metrics.csv",
        "checkpoints/best.ckpt", "status.json",
        "tokenizer/tokenizer.json", "transplant/summary.json", "transplant/provenance.parquet",
        "splits/dev.jsonl.gz", "splits/test.jsonl.gz",
        "predictions/dev.parquet", "predictions/test.parquet",
        "figures/learning_curve.png", "figures/confusion_dev.png", "figures/confusion_test.png",
    }  # fmt: skip
    assert not [name for name in found if name.endswith(".tmp")]
    assert "checkpoints/last.ckpt" not in found
    assert read(trained, "status.json")["name"] == "finished"


def test_a_separable_task_is_learned(trained):
    result = read(trained, "result.json")
    assert result["metrics"]["test"]["accuracy"] > 0.9
    assert result["metrics"]["test"]["count"] == 40
    assert set(result["metrics"]["dev"]["per_class"]) == {"差评", "好评"}
    assert result["best"]["value"] == pytest.approx(result["metrics"]["dev"]["accuracy"])
    assert result["seconds"]["total"] > 0


def test_the_record_names_seed_data_source_and_command(trained):
    provenance = read(trained, "provenance.json")
    assert provenance["seed"] == 0
    assert set(provenance["data"]["sha256"]) == {"train", "dev", "test"}
    assert provenance["source"]["rows"] == 17
    assert len(provenance["target"]["sha256"]) == 64


def test_metrics_csv_holds_the_curve(trained):
    with open(trained / "metrics.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["dev/accuracy"]]
    history = read(trained, "result.json")["history"]
    assert [float(r["dev/accuracy"]) for r in rows] == pytest.approx([h["dev_accuracy"] for h in history])
    assert all(math.isfinite(h["train_loss"]) for h in history)


def test_checkpoints_hold_tensors_and_plain_values_only(train):
    run = train("trainer.keep_last=true", "trainer.epochs=2")
    assert all(torch.isfinite(w).all() for w in weights(run).values())
    assert weights(run, "last").keys() == weights(run).keys()


def test_the_tokenizer_opens_in_transformers(trained):
    assert AutoTokenizer.from_pretrained(trained / "tokenizer").pad_token is not None


def test_the_same_seed_gives_the_same_bits(trained, train):
    again = train()
    assert all(torch.equal(w, weights(again)[name]) for name, w in weights(trained).items())
    assert read(again, "result.json")["metrics"] == read(trained, "result.json")["metrics"]


def test_another_seed_gives_another_model(trained, train):
    other = train("seed=1")
    assert not torch.equal(weights(trained)["model.heads.main.weight"], weights(other)["model.heads.main.weight"])


def test_a_frozen_embedding_keeps_every_transplanted_bit(train):
    run = train("finetune=frozen")
    rows = weights(run)["model.embedding.lookup.weight"]
    assert torch.equal(rows, weights(train("finetune=frozen", "trainer.epochs=1"))["model.embedding.lookup.weight"])
    assert rows[1:].any(dim=1).all()


def test_embedding_first_trains_to_the_end(train):
    assert read(train("finetune=embedding_first"), "result.json")["metrics"]["dev"]["accuracy"] > 0.5


def test_padding_rows_stay_zero_in_training(trained):
    pad = read(trained, "model.json")["pad_id"]
    assert not weights(trained)["model.embedding.lookup.weight"][pad].any()


@pytest.mark.parametrize("resize", ["pca", "linear"])
def test_another_width_trains_and_evaluates(train, resize, capsys):
    run = train("transplant.dim=6", f"transplant.resize={resize}", "trainer.epochs=1")
    assert call("evaluate", str(run)) == 0


def test_test_can_be_left_unread(train):
    run = train("test=false", "trainer.epochs=1")
    assert set(read(run, "result.json")["metrics"]) == {"dev"}
    assert not (run / "figures" / "confusion_test.png").exists()


def test_a_multirun_makes_a_folder_for_each_job(task_overrides, tmp_path):
    code = call("train", "-m", *task_overrides, *SOURCE, f"output_root={tmp_path}", "seed=0,1", "trainer.epochs=1")
    assert code == 0
    assert sorted(read(p, "provenance.json")["seed"] for p in tmp_path.glob("runs/*")) == [0, 1]


def test_a_loss_that_explodes_ends_with_a_sentence(task_overrides, tmp_path, capsys):
    overrides = ["optimizer.lr=1e30", "trainer.gradient_clip=null", "trainer.epochs=9", "scheduler=constant"]
    code = call("train", *task_overrides, *SOURCE, f"output_root={tmp_path}", *overrides)
    assert code == 1
    error = capsys.readouterr().err
    assert "error: the training loss became" in error
    assert "lower optimizer.lr" in error
    assert "Traceback" not in error


def test_missing_data_is_one_sentence_there_and_in_the_run_s_state(task_overrides, tmp_path, capsys):
    code = call("train", *task_overrides, *SOURCE, f"output_root={tmp_path}", "data.train=nowhere.tsv")
    assert code == 1
    [run] = tmp_path.glob("runs/*")
    state = read(run, "status.json")
    assert (state["name"], state["attempts"]) == ("failed", 1)
    assert "nowhere.tsv" in state["error"]
    assert state["error"] in capsys.readouterr().err
    assert state["traceback"].startswith("Traceback")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("output_root={task}/train.tsv/x", "nothing can be written to output_root="),
        ("trainer.monitor=roc_auc", "trainer.monitor=roc_auc has no value on the dev split, which lacks the class"),
    ],
)
def test_what_can_be_known_beforehand_costs_no_epoch(task_overrides, task, tmp_path, capsys, override, says):
    lines = (task / "dev.tsv").read_text(encoding="utf-8").splitlines()
    one_class = tmp_path / "dev.tsv"
    one_class.write_text("\n".join([lines[0], *(x for x in lines if x.startswith("0"))]) + "\n", encoding="utf-8")
    overrides = [f"data.dev={one_class}", f"output_root={tmp_path / 'out'}", override.format(task=task)]
    assert call("train", *task_overrides, *SOURCE, *overrides) == 1
    out, err = capsys.readouterr()
    assert says in err
    assert "epoch" not in out
    assert not list(tmp_path.glob("out/runs/*/config.yaml"))


def test_repairs_and_what_was_read_are_printed(task_overrides, task, tmp_path, capsys):
    words = (task / "vocab.txt").read_text(encoding="utf-8").splitlines()
    (tmp_path / "vocab.txt").write_text("\n".join([words[1], *words[1:]]) + "\n", encoding="utf-8")
    source = ["source=npz", "source.path=vectors.npz", f"source.vocabulary={tmp_path / 'vocab.txt'}"]
    assert (
        call(
            "train",
            *task_overrides,
            *source,
            "trainer.epochs=1",
            "trainer.batch_size=64",
            f"output_root={tmp_path / 'out'}",
        )
        == 0
    )
    out, err = capsys.readouterr()
    assert "            read: train rows 240, dev rows 40, test rows 40\n" in out
    assert "source      vectors.npz: 16 rows of width 16\n            repairs: duplicates 1\n" in out
    assert err == ""


def test_ctrl_c_keeps_what_was_trained_and_says_where(task_overrides, tmp_path, capsys, monkeypatch):
    from lexigraft.training.callbacks import EpochLines

    def interrupted(self, trainer, *rest):
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(EpochLines, "on_train_batch_start", interrupted)
    before = signal.getsignal(signal.SIGINT)
    assert call("train", *task_overrides, *SOURCE, f"output_root={tmp_path}", "trainer.epochs=9") == 130
    out, err = capsys.readouterr()
    (run,) = tmp_path.glob("runs/*")
    assert f"run folder  {run}, unfinished" in out
    assert err == "interrupted\n"
    assert signal.getsignal(signal.SIGINT) is before
    assert call("predict", str(run), "好书") == 0


def test_a_finished_run_is_shown_and_not_done_again(task_overrides, tmp_path, capsys, monkeypatch):
    line = ["train", *task_overrides, *SOURCE, f"output_root={tmp_path}", "trainer.epochs=1"]
    assert call(*line) == 0
    [run] = tmp_path.glob("runs/*")
    before = (run / "result.json").stat().st_mtime_ns
    capsys.readouterr()
    assert call(*line, "trainer.workers=0", "experiment=other", "logger=csv") == 0
    out = capsys.readouterr().out
    assert "This run is finished already; rerun=true does it again." in out
    assert "accuracy" in out
    assert "epoch" not in out
    assert "other code" not in out
    assert (run / "result.json").stat().st_mtime_ns == before
    provenance = read(run, "provenance.json")
    provenance["code"]["package_sha256"] = "0" * 64
    (run / "provenance.json").write_text(json.dumps(provenance))
    assert call(*line) == 0
    assert "it was made by other code: package 000000000000" in capsys.readouterr().out
    assert call(*line, "rerun=true") == 0
    assert "epoch  1" in capsys.readouterr().out
    assert (run / "result.json").stat().st_mtime_ns > before
    assert len(list(tmp_path.glob("runs/*"))) == 1


def test_a_killed_run_goes_on_and_ends_with_the_same_bits(trained, task_overrides, tmp_path, capsys, monkeypatch):
    """SIGKILL in the third epoch, twice; then the curve, the weights and the metrics of a run that was let alone."""
    line = [sys.executable, "-m", "lexigraft", "train", *task_overrides, *SOURCE, *MODEL, f"output_root={tmp_path}"]
    kill = (
        "import os, signal, sys\n"
        "from lexigraft.training.callbacks import EpochLines\n"
        "EpochLines.on_train_batch_start = lambda self, trainer, *_: "
        "trainer.current_epoch == 2 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "from lexigraft.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    for _ in range(2):
        killed = subprocess.run([sys.executable, "-c", kill, *line[3:]], capture_output=True, text=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    [run] = tmp_path.glob("runs/*")
    assert RunState.read(run).name == "crashed"
    assert call(*line[3:]) == 0
    out = capsys.readouterr().out
    assert "resumed     from the last checkpoint of an earlier attempt" in out
    assert [text[:8] for text in out.splitlines() if text.startswith("epoch")] == ["epoch  3", "epoch  4"]
    assert all(torch.equal(w, weights(run)[name]) for name, w in weights(trained).items())
    found, expected = read(run, "result.json"), read(trained, "result.json")
    for key in ("best", "metrics", "history", "counts"):
        assert found[key] == expected[key], key
    assert RunState.read(run).attempts == 3


def test_what_other_code_began_is_begun_anew(task_overrides, tmp_path, capsys):
    line = ["train", *task_overrides, *SOURCE, f"output_root={tmp_path}", "trainer.epochs=1", "trainer.keep_last=true"]
    assert call(*line) == 0
    [run] = tmp_path.glob("runs/*")
    provenance = read(run, "provenance.json")
    provenance["code"]["package_sha256"] = "0" * 64
    (run / "provenance.json").write_text(json.dumps(provenance))
    (run / "result.json").unlink()
    capsys.readouterr()
    assert call(*line) == 0
    out = capsys.readouterr().out
    assert "an earlier attempt is thrown away, for other code made it: package 000000000000" in out
    assert "epoch  1" in out


def test_a_run_that_another_process_works_on_is_left_alone(task_overrides, tmp_path, capsys):
    line = ["train", *task_overrides, *SOURCE, f"output_root={tmp_path}", "trainer.epochs=1"]
    assert call(*line) == 0
    [run] = tmp_path.glob("runs/*")
    capsys.readouterr()
    with claimed(run):
        assert call(*line) == 1
    assert f"error: another process works on the run {run}" in capsys.readouterr().err


def test_a_backbone_needs_a_checkpoint(task_overrides, tmp_path, capsys):
    assert call("train", *task_overrides, *SOURCE, "model=pretrained", f"output_root={tmp_path / 'out'}") == 1
    assert "model=pretrained needs the layers of a checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "xlm-r", "t5", "llama"])
def test_a_checkpoint_s_layers_train_under_its_own_transplanted_matrix(train, checkpoints, family, capsys):
    pooling = "last" if family in ("gpt2", "llama") else "mean"
    run = train(
        "tokenizer=source",
        "trainer.epochs=1",
        source=("source=hf", f"source.name={checkpoints[family]}"),
        model=("model=pretrained", f"model/pooling={pooling}"),
    )
    assert call("evaluate", str(run)) == 0


def test_settings_that_an_optimizer_refuses(task_overrides, tmp_path, capsys):
    overrides = ["optimizer.betas=[2,3]", f"output_root={tmp_path / 'out'}"]
    assert call("train", *task_overrides, *SOURCE, *overrides) == 1
    assert "error: optimizer torch.optim.AdamW: Invalid beta parameter" in capsys.readouterr().err


def test_training_the_used_rows_alone_comes_to_the_same(train, checkpoints):
    """With rows that no text uses, which decay: every weight, every dev metric, and what is reported."""
    source = ("source=hf", f"source.name={checkpoints['bert']}", "tokenizer=source")
    overrides = ("trainer.decay_embeddings=true", "optimizer.weight_decay=0.1", "averaging=ema", "trainer.epochs=2")
    runs = [train(*overrides, f"trainer.active_vocabulary={switch}", source=source) for switch in ("true", "false")]
    active, full = map(weights, runs)
    assert active.keys() == full.keys()
    for name, weight in full.items():
        assert torch.allclose(active[name], weight, rtol=1e-5, atol=1e-6), name
    before = read_checkpoint(str(checkpoints["bert"])).rows
    moved = active["model.embedding.lookup.weight"] / before
    resting = (moved - moved.nanmedian()).abs().amax(dim=1) < 1e-3
    assert resting.sum() > 20  # rows that decay alone has moved, all by one factor
    assert 0.9 < moved[resting].mean() < 0.9999
    results = [read(run, "result.json") for run in runs]
    assert [result["counts"]["active_rows"] for result in results] == [15, len(before)]
    assert results[0]["counts"]["parameters"] == results[1]["counts"]["parameters"]
    for one, other in zip(results[0]["history"], results[1]["history"]):
        assert one.pop("weights") != other.pop("weights")  # the last bits
        assert one == pytest.approx(other, abs=1e-5)
