"""Trackers as a run uses them: fresh, resumed, failing, without their package."""

import glob
import json
import struct
import sys
import time

import pytest
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from lexigraft.training import loggers
from lexigraft.training.tracking.metrics_csv import MetricsCsv, read_rows
from lexigraft.training.tracking.mirror import Mirror, finish
from lexigraft.training.tracking.tracker import class_rows, confusion_rows, final_numbers

RESULT = {
    "monitor": "accuracy",
    "best": {"epoch": 2, "step": 8, "value": 0.75},
    "metrics": {
        "test": {
            "accuracy": 0.75,
            "count": 4,
            "roc_auc": None,
            "per_class": {
                "差评": {"precision": 1.0, "recall": 0.5, "f1": 0.66, "support": 2},
                "好评": {"precision": 0.66, "recall": 1.0, "f1": 0.8, "support": 2},
            },
            "confusion": [[1, 1], [0, 2]],
        }
    },
    "history": [{"epoch": 1, "step": 4}, {"epoch": 2, "step": 8}],
    "counts": {"parameters": 100, "texts": {"train": 4}},
    "seconds": {"train": 1.5},
}


@pytest.fixture
def folder(tmp_path):
    """A run folder with what trackers may read."""
    made = tmp_path / "runs" / "0123456789abcdef"
    (made / "checkpoints").mkdir(parents=True)
    (made / "checkpoints" / "best.ckpt").write_bytes(b"weights")
    (made / "config.yaml").write_text("seed: 1\n")
    return made


@pytest.fixture
def config(tmp_path):
    return {"seed": 1, "experiment": "a-study", "output_root": str(tmp_path), "model": {"encoder": {"channels": 8}}}


def trained(found, *steps, resumed=None):
    """What Lightning does with the loggers of a run that logs at these steps."""
    for logger in found:
        if resumed is not None:
            logger.after_resume(resumed)
    for step in steps:
        for logger in found:
            logger.log_metrics({"train/loss": 1 / (step + 1)}, step)
    for logger in found:
        logger.finalize("success")
    finish(found, RESULT)


def test_csv_is_always_there(tmp_path):
    assert [type(x) for x in loggers.csv(tmp_path, {})] == [MetricsCsv]


def test_tensorboard_mirrors_csv(folder, config):
    trained(loggers.tensorboard(folder, config), 0, 1)
    curves = events(folder)
    assert curves["train/loss"] == [(0, 1.0), (1, 0.5)]
    assert curves["final/test/accuracy"] == [(8, 0.75)]
    assert [row["step"] for row in read_rows(folder)] == [0, 1]


def test_a_resumed_run_continues_its_tensorboard_curve(folder, config):
    trained(loggers.tensorboard(folder, config), 0, 1, 2, 3)
    trained(loggers.tensorboard(folder, config), 2, 3, 4, resumed=2)
    assert [step for step, _ in events(folder)["train/loss"]] == [0, 1, 2, 3, 4]


def test_a_run_done_again_leaves_no_earlier_tensorboard_events(folder, config):
    trained(loggers.tensorboard(folder, config), 0, 1, 2)
    trained(loggers.tensorboard(folder, config), 0)
    assert [step for step, _ in events(folder)["train/loss"]] == [0]


def test_wandb_has_group_id_config_curve_tables_and_checkpoint_offline(folder, config):
    trained(loggers.wandb(folder, config, artifacts=True), 0, 1)
    (run,) = (folder / "wandb").glob("offline-run-*-0123456789abcdef")
    told = wandb_file(run)
    assert told["run"].run_id == "0123456789abcdef"
    assert (told["run"].run_group, told["run"].project, told["run"].job_type) == ("a-study", "lexigraft", "train")
    assert told["config"]["model"] == {"encoder": {"channels": 8}}
    assert [(row["trainer/global_step"], row["train/loss"]) for row in told["history"][:2]] == [(0, 1.0), (1, 0.5)]
    assert told["history"][2]["test/classes/_type"] == "table-file"
    assert told["history"][2]["test/confusion_table/nrows"] == 4
    assert told["summary"]["test/accuracy"] == 0.75
    (model,) = [artifact for artifact in told["artifacts"] if artifact.type == "model"]
    assert {entry.path for entry in model.manifest.contents} == {"checkpoints/best.ckpt", "config.yaml"}
    assert told["exit"].exit_code == 0


def test_a_resumed_wandb_run_is_whole_in_its_new_folder(folder, config):
    trained(loggers.wandb(folder, config), 0, 1, 2, 3)
    trained(loggers.wandb(folder, config), 2, 3, 4, resumed=2)
    (run,) = (folder / "wandb").glob("offline-run-*-0123456789abcdef")
    losses = [row for row in wandb_file(run)["history"] if "train/loss" in row]
    assert [(row["trainer/global_step"], row["train/loss"]) for row in losses] == [
        (step, 1 / (step + 1)) for step in range(5)
    ]


def test_online_a_resumed_wandb_run_is_the_same_run(folder, config, monkeypatch):
    import wandb

    asked = {}
    monkeypatch.setattr(wandb, "init", lambda **settings: asked.update(settings) or 1 / 0)
    found = loggers.wandb(folder, config, mode="online", entity="team", name="seed 1")
    found[1].log_metrics({"a": 1.0}, 0)
    assert (asked["id"], asked["resume"], asked["mode"]) == ("0123456789abcdef", "allow", "online")
    assert (asked["group"], asked["entity"], asked["name"]) == ("a-study", "team", "seed 1")


def test_mlflow_has_parameters_curve_and_results(folder, config, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    trained(loggers.mlflow(folder, config, artifacts=True), 0, 1)
    run, curve = mlflow_run(tmp_path)
    assert run.info.run_name == "0123456789abcdef"
    assert run.info.status == "FINISHED"
    assert run.data.params["model.encoder.channels"] == "8"
    assert run.data.metrics["final/test/accuracy"] == 0.75
    assert curve == [(0, 1.0), (1, 0.5)]
    assert list(tmp_path.glob("mlflow/*/*/artifacts/checkpoints/best.ckpt"))


def test_a_resumed_mlflow_run_is_the_same_run(folder, config, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    first = loggers.mlflow(folder, config)
    first[1].log_metrics({"train/loss": 1.0}, 0)
    first[1].finalize("failed")
    assert mlflow_run(tmp_path)[0].info.status == "FAILED"
    trained(loggers.mlflow(folder, config), 1, resumed=1)
    run, curve = mlflow_run(tmp_path)
    assert run.info.status == "FINISHED"
    assert curve == [(0, 1.0), (1, 0.5)]


class Broken:
    """A tracker that fails at one of its moments."""

    def __init__(self, moment):
        self.moment, self.calls = moment, []

    def __getattr__(self, name):
        def call(*arguments):
            self.calls.append(name)
            if name == self.moment:
                raise OSError(28, "No space left on device")

        return call


@pytest.mark.parametrize(
    ("moment", "calls"),
    [
        ("start", ["start"]),
        ("log", ["start", "log"]),
        ("tell", ["start", "log", "log", "tell"]),
        ("end", ["start", "log", "log", "tell", "end"]),
    ],
)
def test_a_failure_at_any_moment_is_one_warning_and_costs_no_run(folder, caplog, moment, calls):
    broken = Broken(moment)
    trained([*loggers.csv(folder, {}), Mirror("W&B", broken, folder)], 0, 1)
    assert broken.calls == calls
    (record,) = caplog.records
    assert "W&B failed ([Errno 28] No space left on device): from here on the run is recorded" in record.message
    assert [row["step"] for row in read_rows(folder)] == [0, 1]


def test_ctrl_c_in_a_tracker_is_no_failure_of_it(folder):
    def interrupt(resumed):
        raise KeyboardInterrupt

    broken = Broken(None)
    broken.start = interrupt
    with pytest.raises(KeyboardInterrupt):
        Mirror("W&B", broken, folder).log_metrics({"a": 1.0}, 0)


def test_failed_training_closes_the_run_as_failed(folder):
    seen = Broken(None)
    seen.end = lambda failed: seen.calls.append(f"end {failed}")
    mirror = Mirror("W&B", seen, folder)
    mirror.log_metrics({"a": 1.0}, 0)
    mirror.finalize("failed")
    mirror.log_metrics({"a": 1.0}, 1)
    assert seen.calls == ["start", "log", "end True"]


def test_only_rank_0_has_a_run(folder, monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    tracker = Broken(None)
    trained([*loggers.csv(folder, {}), Mirror("W&B", tracker, folder)], 0)
    assert tracker.calls == []
    assert not (folder / "metrics.csv").exists()


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_missing_extra_is_named(tmp_path, monkeypatch, name):
    for module in {"tensorboard": ["torch.utils.tensorboard"], "mlflow": ["mlflow.tracking"]}.get(name, [name]):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=rf"pip install 'lexigraft\[{name}\]'"):
        getattr(loggers, name)(tmp_path, {})


def test_final_numbers_are_the_plain_ones():
    assert final_numbers(RESULT) == {
        "best/epoch": 2, "best/step": 8, "best/value": 0.75, "seconds/train": 1.5, "counts/parameters": 100,
        "test/accuracy": 0.75, "test/count": 4,
    }  # fmt: skip


def test_tables_of_classes_and_confusion():
    metrics = RESULT["metrics"]["test"]
    assert class_rows(metrics)[0] == ["差评", 1.0, 0.5, 0.66, 2]
    assert confusion_rows(metrics)[1] == ["差评", "好评", 1]
    assert len(confusion_rows(metrics, most=3)) == 3
    assert class_rows({"mse": 1.0}) == confusion_rows({"mse": 1.0}) == []


def events(folder):
    """The curves of TensorBoard's files: step and value of each point."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder / "tensorboard"))
    read.Reload()
    return {name: [(e.step, e.value) for e in read.Scalars(name)] for name in read.Tags()["scalars"]}


def mlflow_run(root):
    """The only run of the store, and its curve of the training loss."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient((root / "mlflow").as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("a-study").experiment_id])
    return run, [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "train/loss")]


def wandb_file(folder):
    """What an offline run's file says, once W&B's own process has written its end."""
    until = time.monotonic() + 30
    while "exit" not in (told := _wandb_file(folder)) and time.monotonic() < until:
        time.sleep(0.02)
    return told


def _wandb_file(folder):
    """LevelDB's log format around W&B's records."""
    from wandb.proto import wandb_internal_pb2

    told = {"history": [], "config": {}, "summary": {}, "artifacts": []}
    (path,) = glob.glob(f"{folder}/run-*.wandb")
    with open(path, "rb") as file:
        raw = file.read()
    at, parts = 7, b""
    while at + 7 <= len(raw):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        _, size, kind = struct.unpack("<IHB", raw[at : at + 7])
        parts = (b"" if kind in (1, 2) else parts) + raw[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            _note(record, told)
    return told


def _note(record, told):
    kind = record.WhichOneof("record_type")
    if kind == "history":
        told["history"].append(_items(record.history.item))
    elif kind == "summary":
        told["summary"] |= _items(record.summary.update)
    elif kind == "artifact":
        told["artifacts"].append(record.artifact)
    elif kind == "config":
        told["config"] |= _items(record.config.update)
    elif kind == "run":
        told["run"] = record.run
        told["config"] |= _items(record.run.config.update)
    elif kind == "exit":
        told["exit"] = record.exit


def _items(items):
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}
