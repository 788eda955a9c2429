"""Where metrics go while a run trains. metrics.csv is always written: the other loggers mirror it."""

import logging
from pathlib import Path
from typing import Any, Literal

from pytorch_lightning.loggers import CSVLogger, Logger

log = logging.getLogger(__name__)


def csv(folder: Path, config: dict[str, Any]) -> list[Logger]:
    """`metrics.csv` in the run folder."""
    return [CSVLogger(str(folder), name="", version="")]


def tensorboard(folder: Path, config: dict[str, Any]) -> list[Logger]:
    """`metrics.csv` and TensorBoard events under `tensorboard/`. `ValueError` without the `tensorboard` extra."""
    from pytorch_lightning.loggers import TensorBoardLogger

    try:
        mirror = TensorBoardLogger(str(folder), name="", version="tensorboard")
    except ModuleNotFoundError as error:
        raise ValueError(
            "logger=tensorboard needs the tensorboard extra: pip install 'lexigraft[tensorboard]'"
        ) from error
    return [*csv(folder, config), mirror]


def wandb(
    folder: Path,
    config: dict[str, Any],
    project: str = "lexigraft",
    mode: Literal["online", "offline", "disabled"] = "offline",
) -> list[Logger]:
    """`metrics.csv` and a Weights & Biases run. `ValueError` without the `wandb` extra.

    A run that W&B cannot start goes on without it, with a warning: result.json and metrics.csv are the record.
    """
    try:
        import wandb as client
    except ModuleNotFoundError as error:
        raise ValueError("logger=wandb needs the wandb extra: pip install 'lexigraft[wandb]'") from error
    from pytorch_lightning.loggers import WandbLogger

    try:
        run = client.init(
            project=project,
            name=folder.name,
            dir=str(folder),
            mode=mode,
            config=config,
            reinit="finish_previous",
            settings=client.Settings(init_timeout=20, silent=True),
        )
    except (client.Error, OSError) as error:
        log.warning("W&B did not start (%s): this run is recorded in metrics.csv and result.json only", error)
        return csv(folder, config)
    return [*csv(folder, config), WandbLogger(experiment=run)]
