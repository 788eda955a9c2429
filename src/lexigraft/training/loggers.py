"""Where metrics go while a run trains: `conf/logger/`. metrics.csv is always written; trackers mirror it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lexigraft.training.tracking.mlflow import MLflow
from lexigraft.training.tracking.tensorboard import TensorBoard
from lexigraft.training.tracking.tracker import Tracker
from lexigraft.training.tracking.weights_and_biases import Mode, WeightsAndBiases

if TYPE_CHECKING:  # Lightning takes seconds to import, which checking a config need not wait for
    from pytorch_lightning.loggers import Logger


def csv(folder: Path, config: dict[str, Any]) -> "list[Logger]":
    """`metrics.csv` in the run folder."""
    from lexigraft.training.tracking.metrics_csv import MetricsCsv

    return [MetricsCsv(folder)]


def tensorboard(folder: Path, config: dict[str, Any]) -> "list[Logger]":
    """`metrics.csv` and TensorBoard events under `tensorboard/`. `ValueError` without the `tensorboard` extra."""
    return _with("tensorboard", "TensorBoard", folder, lambda: TensorBoard(folder, config))


def wandb(
    folder: Path,
    config: dict[str, Any],
    project: str = "lexigraft",
    entity: str | None = None,
    name: str | None = None,
    mode: Mode = "offline",
    artifacts: bool = False,
) -> "list[Logger]":
    """`metrics.csv` and a Weights & Biases run: group `experiment`, id the run's. `ValueError` without the extra.

    `name` is what W&B shows, None: the id. `artifacts`: the best checkpoint is kept there too. `mode="offline"` writes
    below the run folder, without account and network; `wandb sync FOLDER/wandb/offline-run-*` sends it later.
    """
    return _with(
        "wandb", "W&B", folder, lambda: WeightsAndBiases(folder, config, project, entity, name, mode, artifacts)
    )


def mlflow(
    folder: Path, config: dict[str, Any], tracking_uri: str | None = None, artifacts: bool = False
) -> "list[Logger]":
    """`metrics.csv` and a run in MLflow, in the experiment `experiment`. `ValueError` without the `mlflow` extra.

    `tracking_uri` None: the variable MLFLOW_TRACKING_URI, else files in `<output_root>/mlflow`.
    """
    return _with("mlflow", "MLflow", folder, lambda: MLflow(folder, config, tracking_uri, artifacts))


def _with(extra: str, title: str, folder: Path, tracker: Callable[[], Tracker]) -> "list[Logger]":
    """metrics.csv, and beside it a tracker whose package has to be there."""
    from lexigraft.training.tracking.mirror import Mirror

    try:
        return [*csv(folder, {}), Mirror(title, tracker(), folder)]
    except ImportError as error:
        raise ValueError(f"logger={extra} needs the {extra} extra: pip install 'lexigraft[{extra}]'") from error
