"""MLflow: a study is an experiment, and a run is continued where its folder says which one it was."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from filelock import FileLock

from lexigraft.runs.folder import read_json, write_json
from lexigraft.training.tracking.tracker import final_numbers

NOTE = "mlflow.json"


class MLflow:
    """A run in the store at `uri`, None: MLFLOW_TRACKING_URI, else files below output_root.

    `ImportError` without mlflow.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], uri: str | None, artifacts: bool) -> None:
        # The file store needs no server and no database, and is refused without this; a dead server is given up soon.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        from mlflow.tracking import MlflowClient

        store = Path(config.get("output_root", folder.parent)).absolute() / "mlflow"
        self._uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or store.as_uri()
        self._lock = FileLock(store.with_suffix(".lock")) if self._uri == store.as_uri() else nullcontext()
        self._make = MlflowClient
        self._folder, self._config, self._artifacts = folder, config, artifacts

    def start(self, resumed: int | None) -> None:
        """The run of the earlier attempt, if this one continues it; else a new one with the config as parameters."""
        from mlflow.entities import Param
        from mlflow.exceptions import MlflowException

        self._client = self._make(self._uri)
        note = self._folder / NOTE
        if resumed is not None and note.is_file() and read_json(note)["uri"] == self._uri:
            self._id = read_json(note)["run"]
            try:
                self._client.update_run(self._id, status="RUNNING")
                return
            except MlflowException:
                pass  # deleted there
        with self._lock:  # jobs that start at once would make an experiment twice
            experiment = self._client.get_experiment_by_name(self._config["experiment"])
            number = experiment and experiment.experiment_id
            number = number or self._client.create_experiment(self._config["experiment"])
        self._id = self._client.create_run(number, run_name=self._folder.name).info.run_id
        write_json(note, {"uri": self._uri, "run": self._id})
        params = [Param(key, str(value)[:500]) for key, value in _flat(self._config)]
        for start in range(0, len(params), 100):  # the most that MLflow takes at once
            self._client.log_batch(self._id, params=params[start : start + 100])

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(self._id, [Metric(name, value, now, step) for name, value in metrics.items()])

    def tell(self, result: Mapping[str, Any]) -> None:
        """Final numbers, result.json and the figures; the checkpoint if artifacts are wanted."""
        self.log({f"final/{name}": value for name, value in final_numbers(result).items()}, result["best"]["step"])
        self._client.log_dict(self._id, dict(result), "result.json")
        if (self._folder / "figures").is_dir():
            self._client.log_artifacts(self._id, str(self._folder / "figures"), "figures")
        best = self._folder / "checkpoints" / "best.ckpt"
        if self._artifacts and best.is_file():
            self._client.log_artifact(self._id, str(best), "checkpoints")

    def end(self, failed: bool) -> None:
        self._client.set_terminated(self._id, "FAILED" if failed else "FINISHED")


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of a config."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
