import json
import shutil

import pytest

from lexigraft.runs.folder import RunFolder
from tests.fixtures.task import call

LAC = ("source=lac",)


def test_a_moved_run_gives_the_same_numbers(trained, tmp_path, capsys):
    moved = tmp_path / "elsewhere"
    shutil.copytree(trained, moved)
    for split in ("dev", "test"):
        assert call("evaluate", str(moved), "--split", split) == 0
        again = json.loads((moved / f"evaluation_{split}.json").read_text(encoding="utf-8"))
        assert again == json.loads((moved / "result.json").read_text(encoding="utf-8"))["metrics"][split]


def test_a_run_is_measured_in_the_precision_it_was_trained_and_chosen_in(train, tmp_path, capsys, monkeypatch):
    run = train("hardware.precision=bf16-mixed", "trainer.epochs=2")
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    chosen = next(each for each in result["history"] if each["epoch"] == result["best"]["epoch"])
    dev = result["metrics"]["dev"]
    assert round(chosen["dev_loss"], 6) == dev["loss"]
    again = run / "evaluation_dev.json"
    assert call("evaluate", str(run), "--split", "dev") == 0
    assert json.loads(again.read_text(encoding="utf-8")) == dev
    # On another kind of device than the run's own: in float32, of which bfloat16 is a rounding.
    monkeypatch.setattr(RunFolder, "finished_result", lambda folder: {**result, "device": "mps"})
    assert call("evaluate", str(run), "--split", "dev") == 0
    elsewhere = json.loads(again.read_text(encoding="utf-8"))["loss"]
    assert elsewhere != dev["loss"]
    assert elsewhere == pytest.approx(dev["loss"], rel=0.02)


def test_another_labelled_file(trained, task, tmp_path, capsys):
    moved = tmp_path / "run"
    shutil.copytree(trained, moved)
    labelled = tmp_path / "new.tsv"
    labelled.write_text("label\ttext\n好评\t我们喜欢\n差评\t东西坏了\n", encoding="utf-8")
    assert call("evaluate", str(moved), "--file", str(labelled)) == 0
    assert json.loads((moved / "evaluation_new.tsv.json").read_text(encoding="utf-8"))["count"] == 2


def test_a_file_with_the_columns_of_the_training_data(train, task, tmp_path, capsys):
    for name in ("train", "dev", "test"):
        content = (task / f"{name}.tsv").read_text(encoding="utf-8")
        (tmp_path / f"{name}.tsv").write_text(content.replace("label\ttext", "类别\t评论", 1), encoding="utf-8")
    run = train(f"data.root={tmp_path}", "data.text=评论", "data.label=类别", "trainer.epochs=1", source=LAC)
    assert call("evaluate", str(run), "--file", str(tmp_path / "test.tsv")) == 0


def test_a_folder_that_cannot_be_written_does_not_cost_the_result(trained, capsys, monkeypatch):
    def full(path, value):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("lexigraft.commands.evaluate.write_json", full)
    assert call("evaluate", str(trained)) == 1
    out, err = capsys.readouterr()
    assert "accuracy" in out
    assert "No space left on device" in err
    assert "Traceback" not in err


def test_a_folder_that_is_no_run(tmp_path, capsys):
    assert call("evaluate", str(tmp_path)) == 1
    assert "is not a finished run" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["truncate", "replace"])
def test_damaged_weights_are_an_error(trained, tmp_path, damage, capsys):
    moved = tmp_path / "run"
    shutil.copytree(trained, moved)
    best = moved / "checkpoints" / "best.ckpt"
    content = best.read_bytes()
    best.write_bytes(content[: len(content) // 2] if damage == "truncate" else b"not a checkpoint")
    assert call("evaluate", str(moved)) == 1
    error = capsys.readouterr().err
    assert "error: " in error
    assert "best.ckpt" in error
