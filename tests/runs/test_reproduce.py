"""A run done again, and runs of which one thing was changed."""

import argparse
import json
import shutil

import pytest
import torch

from lexigraft.commands import reproduce
from lexigraft.config.errors import ConfigError
from lexigraft.runs.fingerprint import fingerprint
from lexigraft.runs.folder import read_json, write_json
from lexigraft.runs.reproduce import compare


@pytest.fixture
def pair(trained, tmp_path):
    """A finished run and a copy of it, to be changed."""
    return trained, shutil.copytree(trained, tmp_path / "again")


def change(folder, file, edit):
    values = read_json(folder / file)
    edit(values)
    write_json(folder / file, values)


def reproduced(folder, **options):
    reproduce.run(argparse.Namespace(run=str(folder), **{"keep": None, **options}))


def test_a_run_done_again_is_bit_identical(pair, capsys):
    _, run = pair
    reproduced(run)
    assert "verdict     bit-identical\n" in capsys.readouterr().out
    told = json.loads((run / "reproduction.json").read_text())
    assert (told["verdict"], told["first"]) == ("identical", None)
    names = [check["name"] for check in told["checks"]]
    assert [name for name in names if not name.startswith("predictions")] == [
        "code", "versions", "hardware", "precision", "device", "data", "source matrix", "target vocabulary",
        *(["transplanted rows"] if "transplanted rows" in names else []), "history", "weights of epoch 3", "metrics",
    ]  # fmt: skip


def test_a_result_that_does_not_come_out_again_is_found_and_exits_with_1(pair, capsys, tmp_path):
    _, run = pair
    change(run, "result.json", lambda values: values["history"][1].update(train_loss=0.5))
    with pytest.raises(SystemExit) as stopped:
        reproduced(run, keep=str(tmp_path / "kept"))
    assert stopped.value.code == 1
    assert "verdict     different, first in epoch 2: train_loss 0.5, again " in capsys.readouterr().out
    (kept,) = (tmp_path / "kept" / "runs").iterdir()
    assert read_json(kept / "result.json")["status"] == "finished"
    assert read_json(run / "reproduction.json")["first"]["name"] == "epoch 2"


def test_the_second_run_does_not_lie_where_the_first_one_does(trained):
    with pytest.raises(ValueError, match="holds the run itself: give another folder"):
        reproduced(trained, keep=str(trained.parent.parent))


def test_what_cannot_be_reproduced_is_told(pair, tmp_path):
    _, run = pair
    with pytest.raises(FileNotFoundError, match="is not a finished run"):
        reproduced(tmp_path)
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("seed: 0\n", "sede: 0\n", 1))
    with pytest.raises(ConfigError, match="sede"):
        reproduced(run)
    change(run, "result.json", lambda values: values.update(status="running"))
    with pytest.raises(ValueError, match="is not finished"):
        reproduced(run)


def test_a_copy_is_identical(pair):
    found = compare(*pair)
    assert found.verdict == "identical"
    assert found.first is None


@pytest.mark.parametrize(
    ("file", "edit", "name", "told"),
    [
        ("provenance.json", lambda v: v["data"]["sha256"].update(dev="0" * 64), "data", "sha256.dev "),
        ("provenance.json", lambda v: v["source"].update(sha256="0" * 64), "source matrix", "again 000000000000..."),
        ("provenance.json", lambda v: v["target"].update(sha256="0" * 64), "target vocabulary", "again 0000"),
        ("result.json", lambda v: v["history"].pop(), "epochs", "4, again 3"),
        ("result.json", lambda v: v["best"].update(epoch=1), "best epoch", "3, again 1"),
        ("result.json", lambda v: v["metrics"]["test"].update(accuracy=0.1), "metrics", "test/accuracy 1, again 0.1"),
    ],
)  # fmt: skip
def test_the_first_difference_is_named(pair, file, edit, name, told):
    change(pair[1], file, edit)
    found = compare(*pair)
    assert found.verdict == "different"
    assert found.first.name == name
    assert told in found.first.found


def test_other_versions_and_hardware_are_no_difference_of_the_result(pair):
    def other(values):
        values["versions"]["torch"] = "1.0"
        values["hardware"]["torch_threads"] = 64
        values["code"]["package_sha256"] = "0" * 64

    change(pair[1], "provenance.json", other)
    found = compare(*pair)
    assert found.verdict == "identical"
    assert [check.name for check in found.circumstances] == ["code", "versions", "hardware"]
    assert "torch " in found.circumstances[1].found
    assert "again 1.0" in found.circumstances[1].found
    assert "torch_threads 1, again 64" in found.circumstances[2].found


def test_rounding_is_within_the_tolerance_of_the_precision(pair):
    losses = {}

    def nudge(values):
        losses["was"] = values["history"][2]["train_loss"]
        values["history"][2]["train_loss"] *= 1 + 1e-6

    change(pair[1], "result.json", nudge)
    found = compare(*pair)
    assert found.verdict == found.first.grade == "within tolerance"
    assert found.first.name == "epoch 3"
    change(pair[1], "result.json", lambda v: v["history"][2].update(train_loss=losses["was"] * 1.001))
    assert compare(*pair).verdict == "different"
    change(pair[1], "result.json", lambda v: v.update(precision="bf16-mixed"))
    assert compare(*pair).verdict == "within tolerance"


def test_weights_that_differ_are_named(pair):
    path = pair[1] / "checkpoints" / "best.ckpt"
    saved = torch.load(path, weights_only=True)
    names = list(saved["state_dict"])
    saved["state_dict"][names[-1]].view(-1)[0] += 0.5
    torch.save(saved, path)
    found = compare(*pair)
    assert found.first.name == "weights of epoch 3"
    assert found.first.found.startswith(f"1 of {len(names)} tensors, first {names[-1]}; most {names[-1]}: 0.5")


def test_weights_of_another_shape_are_different(pair):
    path = pair[1] / "checkpoints" / "best.ckpt"
    saved = torch.load(path, weights_only=True)
    name = next(iter(saved["state_dict"]))
    saved["state_dict"][name] = saved["state_dict"][name][:1]
    torch.save(saved, path)
    assert name in compare(*pair).first.found


def test_an_epoch_whose_weights_differ_and_whose_losses_do_not_is_within_tolerance(pair):
    first = shutil.copytree(pair[0], pair[1].parent / "first")
    for run, word in ((first, "a"), (pair[1], "b")):
        change(run, "result.json", lambda v, word=word: v["history"][0].update(weights=word * 16))
    found = compare(first, pair[1])
    assert (found.first.name, found.first.grade) == ("epoch 1", "within tolerance")
    assert found.first.found == f"weights {'a' * 16}, again {'b' * 16}"


def test_the_fingerprint_is_of_names_types_shapes_and_bits():
    rows = torch.arange(6.0)
    same = fingerprint({"a": rows, "b": rows.bool()})
    assert same == fingerprint({"b": rows.bool(), "a": rows.clone()})
    assert len(same) == 16
    others = [{"c": rows}, {"a": rows.view(2, 3)}, {"a": rows.double()}, {"a": -rows}, {"a": rows.bfloat16()}, {}]
    assert len({fingerprint(each) for each in ({"a": rows}, *others)}) == 7
    assert fingerprint({"a": torch.zeros(2, 3).t()}) == fingerprint({"a": torch.zeros(3, 2)})
    assert fingerprint({"a": torch.tensor(1.0)}) != fingerprint({"a": torch.tensor([1.0])})
