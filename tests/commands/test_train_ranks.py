"""Several processes make one run: `hardware.devices=2`, from the command line, in a sweep, and where one fails."""

import csv
import json

import pytest

from tests.fixtures.task import MODEL, SOURCE, call

PLAIN = ("model.head_dropout=0", "model.embedding_dropout=0", "trainer.epochs=2")


def result_of(folder):
    return json.loads((folder / "result.json").read_text())


@pytest.fixture(scope="module")
def pair(train, capfd_of_module):
    """The same run of one process and of two, and what the latter printed."""
    alone = train(*PLAIN)
    capfd_of_module()
    return alone, train(*PLAIN, "hardware.devices=2"), capfd_of_module()


@pytest.fixture(scope="module")
def capfd_of_module():
    """What both streams got since the last call, those of children included."""
    from _pytest.capture import FDCapture

    streams = [FDCapture(1), FDCapture(2)]
    for stream in streams:
        stream.start()
    yield lambda: "".join(stream.snap() for stream in streams)
    for stream in streams:
        stream.done()


def test_two_processes_take_the_steps_of_one(pair):
    alone, together, _ = pair
    assert together.name == alone.name
    one, two = result_of(alone), result_of(together)
    assert (one["processes"], two["processes"]) == (1, 2)
    assert [row["step"] for row in two["history"]] == [row["step"] for row in one["history"]]
    for ours, theirs in zip(two["history"], one["history"]):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], abs=1e-5)
        assert ours["dev_loss"] == pytest.approx(theirs["dev_loss"], abs=1e-5)
    assert two["metrics"]["test"]["accuracy"] == one["metrics"]["test"]["accuracy"]
    assert two["metrics"]["test"]["count"] == 40


def test_one_of_them_prints_and_writes(pair):
    _, together, printed = pair
    assert printed.count("epoch  1 ") == printed.count("run folder  ") == 1
    assert "Initializing distributed" not in printed
    assert "deprecated" not in printed
    with open(together / "metrics.csv", newline="") as file:
        steps = [row["step"] for row in csv.DictReader(file) if row["dev/accuracy"]]
    assert steps == [str(row["step"] - 1) for row in result_of(together)["history"]]
    assert len(list(together.parent.iterdir())) == 1


def test_runs_of_a_sweep_have_two_each(task_overrides, tmp_path):
    words = [*task_overrides, *SOURCE, *MODEL, *PLAIN, f"output_root={tmp_path}", "hardware.devices=2"]
    assert call("train", "-m", *words, "seed=0,1", "trainer.epochs=1", "test=false") == 0
    results = [result_of(folder) for folder in (tmp_path / "runs").iterdir()]
    assert [result["processes"] for result in results] == [2, 2]


def test_the_error_of_one_is_that_of_the_run(task_overrides, tmp_path, capfd):
    words = [*task_overrides, *SOURCE, *MODEL, f"output_root={tmp_path}", "hardware.devices=2"]
    assert call("train", *words, "optimizer=sgd", "optimizer.lr=1e30", "trainer.gradient_clip=null") == 1
    error = capfd.readouterr().err
    assert error.count("error: the training loss became nan") == 1
    assert "Traceback" not in error
    (run,) = (tmp_path / "runs").iterdir()
    assert json.loads((run / "status.json").read_text())["name"] == "failed"
    assert list((run / "replay").glob("step_*_rank_*.pt"))


@pytest.fixture(scope="module")
def sharded(train):
    """The same run of two processes that share one model out, and the checkpoint that it left."""
    folder = train(*PLAIN, "hardware=ddp_cpu", "hardware.strategy=fsdp", "trainer.keep_last=true")
    return folder, result_of(folder)


def test_two_processes_with_a_piece_of_each_weight_take_the_steps_of_one(pair, sharded):
    alone, _, _ = pair
    one, two = result_of(alone), sharded[1]
    assert two["processes"] == 2
    for ours, theirs in zip(two["history"], one["history"], strict=True):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], abs=1e-5)
        assert ours["dev_loss"] == pytest.approx(theirs["dev_loss"], abs=1e-5)
    assert two["metrics"]["test"]["accuracy"] == one["metrics"]["test"]["accuracy"]


def test_one_process_goes_on_where_two_with_pieces_were(sharded, task_overrides):
    folder, before = sharded
    pieces = folder / "checkpoints" / "pieces"
    assert sorted(path.name for path in next(pieces.iterdir()).iterdir()) == ["rank_0.ckpt", "rank_1.ckpt"]
    (folder / "result.json").unlink()  # as if it had been stopped while it measured what it had trained
    words = [*task_overrides, *SOURCE, *MODEL, *PLAIN, f"output_root={folder.parent.parent}"]
    assert call("train", *words, "hardware.devices=1") == 0
    after = result_of(folder)
    assert after["processes"] == 1
    assert after["history"] == before["history"]
    assert after["metrics"] == before["metrics"]
    assert not pieces.exists(), "keep_last was not asked for again"
