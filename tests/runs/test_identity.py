import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexigraft.runs.identity import identity, run_id

VALUES = {
    "seed": 0,
    "experiment": "a",
    "output_root": "outputs",
    "rerun": False,
    "logger": {"_target_": "csv"},
    "data": {"name": "x", "root": "/a", "train": "t.tsv"},
    "transplant": {"fill": [{"_target_": "f", "root": "/a"}]},
    "auxiliary": {"topic": {"data": {"root": "/a", "name": "y"}, "task": None}},
    "trainer": {"epochs": 3, "progress": True, "profile": False, "workers": 0, "keep_last": False,
                "checkpoint_every": 10, "checkpoint_async": False, "micro_batch": None},
    "hardware": {"accelerator": "cpu", "precision": "32", "threads": 1, "devices": 1, "compile": False,
                 "nodes": 1, "deterministic": False, "requeue": False},
}  # fmt: skip


def changed(path, value):
    found = copy.deepcopy(VALUES)
    *parents, last = path.split(".")
    node = found
    for name in parents:
        node = node[name]
    assert last in node
    node[last] = value
    return found


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("experiment", "b"), ("output_root", "/elsewhere"), ("rerun", True), ("logger", {"_target_": "wandb"}),
        ("data.root", "/b"), ("auxiliary.topic.data.root", "/b"),
        ("transplant.fill", [{"_target_": "f", "root": "/b"}]), ("trainer.progress", False),
        ("trainer.profile", True), ("trainer.workers", 4), ("trainer.keep_last", True),
        ("hardware.accelerator", "auto"), ("hardware.threads", 2), ("hardware.compile", True),
        ("hardware.devices", 2), ("hardware.nodes", 2),
        ("hardware.requeue", True), ("trainer.checkpoint_every", None), ("trainer.checkpoint_async", True),
        ("trainer.micro_batch", 8), ("trainer.micro_batch", "auto"),
    ],
)  # fmt: skip
def test_what_cannot_change_the_result_is_left_out(path, value):
    assert run_id(changed(path, value)) == run_id(VALUES)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed", 1), ("data.train", "u.tsv"), ("auxiliary.topic.data.name", "z"), ("trainer.epochs", 4),
        ("hardware.precision", "bf16-mixed"), ("hardware.deterministic", True), ("seed", None), ("trainer.epochs", 3.0),
    ],
)  # fmt: skip
def test_everything_else_is_another_run(path, value):
    assert run_id(changed(path, value)) != run_id(VALUES)


def test_the_config_itself_is_not_touched_and_what_is_lacking_is_no_error():
    before = copy.deepcopy(VALUES)
    assert "root" not in identity(VALUES)["data"]
    assert before == VALUES
    assert len(run_id({"seed": 0})) == 16


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text(), max_size=5))
def test_the_order_of_keys_does_not_matter(values):
    turned = dict(reversed(values.items()))
    assert run_id({"model": values}) == run_id({"model": turned})
