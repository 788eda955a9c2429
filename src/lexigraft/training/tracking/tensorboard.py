"""TensorBoard: event files below the run folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from lexigraft.training.tracking.tracker import final_numbers


class TensorBoard:
    """Curves, the config as text, and the final numbers at the best step. `ImportError` without tensorboard."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._make = SummaryWriter
        self._folder, self._config = folder / "tensorboard", config

    def start(self, resumed: int | None) -> None:
        """A resumed run's events take the place of the earlier ones from its step on."""
        if resumed is None:
            for old in self._folder.glob("events.out.tfevents.*"):
                old.unlink()
        self._writer = self._make(str(self._folder), purge_step=resumed)
        self._writer.add_text("config", f"```yaml\n{yaml.safe_dump(dict(self._config), allow_unicode=True)}```")

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def tell(self, result: Mapping[str, Any]) -> None:
        step = int(result["best"]["step"])
        for name, value in final_numbers(result).items():
            self._writer.add_scalar(f"final/{name}", value, step)

    def end(self, failed: bool) -> None:
        self._writer.close()
