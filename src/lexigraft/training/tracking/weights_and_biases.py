"""Weights & Biases: a study is a group, a run is found by its id, and a resumed one continues its curves."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from lexigraft.training.tracking.tracker import class_rows, confusion_rows, final_numbers

STEP = "trainer/global_step"
Mode = Literal["online", "offline", "disabled"]


class WeightsAndBiases:
    """One W&B run of a run folder, whose name is its id. `ImportError` without wandb."""

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        project: str,
        entity: str | None,
        name: str | None,
        mode: Mode,
        artifacts: bool,
    ) -> None:
        import wandb

        self._client = wandb
        self._folder, self._config, self._artifacts, self._offline = folder, config, artifacts, mode == "offline"
        self._place: dict[str, Any] = {"project": project, "entity": entity, "name": name or folder.name, "mode": mode}

    def start(self, resumed: int | None) -> None:
        """Online the server knows what came before. Offline a run is a folder of its own, so that the new one is given
        the earlier rows of metrics.csv and takes the place of the old, and `wandb sync` of it tells everything."""
        if self._offline:
            for old in (self._folder / "wandb").glob(f"offline-run-*-{self._folder.name}"):
                shutil.rmtree(old, ignore_errors=True)
        limits = {"init_timeout": 20, "finish_timeout": 600}
        known = {key: value for key, value in limits.items() if key in self._client.Settings.model_fields}
        self._run = self._client.init(
            **self._place,
            id=self._folder.name,
            resume=None if self._offline else "allow",
            group=self._config.get("experiment"),
            job_type="train",
            dir=str(self._folder),
            config=dict(self._config),
            reinit="finish_previous",
            settings=self._client.Settings(silent=True, **known),
        )
        self._run.define_metric(STEP)
        self._run.define_metric("*", step_metric=STEP, step_sync=True)
        if self._offline and resumed is not None:
            from lexigraft.training.tracking.metrics_csv import read_rows  # with Lightning, see `training/loggers.py`

            for row in read_rows(self._folder, resumed):
                self.log({key: value for key, value in row.items() if key != "step"}, row["step"])

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        self._run.log({**metrics, STEP: step})

    def tell(self, result: Mapping[str, Any]) -> None:
        """Final numbers as the summary, per split a table of classes and the confusion matrix, and the checkpoint."""
        self._run.summary.update(final_numbers(result))
        shown: dict[str, Any] = {}
        for split, metrics in result["metrics"].items():
            if rows := class_rows(metrics):
                columns = ["class", "precision", "recall", "F1", "support"]
                shown[f"{split}/classes"] = self._client.Table(columns=columns, data=rows)
            if rows := confusion_rows(metrics):
                shown[f"{split}/confusion"] = self._confusion(split, rows)
        if shown:
            self._run.log({**shown, STEP: result["history"][-1]["step"]})
        if self._artifacts:
            self._run.log_artifact(self._checkpoint(result))

    def end(self, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))

    def _confusion(self, split: str, rows: list[list[Any]]) -> Any:
        """What wandb.plot.confusion_matrix draws, which would want each text's label instead of the counts."""
        return self._client.plot_table(
            "wandb/confusion_matrix/v1",
            self._client.Table(columns=["Actual", "Predicted", "nPredictions"], data=rows),
            {"Actual": "Actual", "Predicted": "Predicted", "nPredictions": "nPredictions"},
            {"title": f"confusion of {split}"},
        )

    def _checkpoint(self, result: Mapping[str, Any]) -> Any:
        """All that `lexigraft evaluate` and `predict` read, but the texts."""
        about = {"monitor": result["monitor"], **result["best"]}
        artifact = self._client.Artifact(f"run-{self._folder.name}", type="model", metadata=about)
        for file in (
            self._folder / "checkpoints" / "best.ckpt",
            self._folder / "config.yaml",
            self._folder / "model.json",
        ):
            if file.is_file():
                # Read where it lies: a copy would stand in the user's cache folder until it is sent.
                artifact.add_file(str(file), name=str(file.relative_to(self._folder)), policy="immutable")
        if (self._folder / "tokenizer").is_dir():
            artifact.add_dir(str(self._folder / "tokenizer"), name="tokenizer", policy="immutable")
        return artifact
