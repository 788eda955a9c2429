"""Lightning's progress bar with the time that is left of the whole run."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar
from rich.progress import ProgressColumn, Task
from rich.text import Text


class Bar(RichProgressBar):
    """The bar of an epoch, and the time that all epochs still take: `remaining` tells its seconds, or None."""

    def __init__(self, remaining: Callable[[], float | None]) -> None:
        super().__init__(leave=False)
        self._remaining = remaining

    def configure_columns(self, trainer: pl.Trainer) -> list[Any]:
        return [*super().configure_columns(trainer), TimeLeft(self._remaining)]


class TimeLeft(ProgressColumn):
    """ "0:12:34 left", at most: training may stop early."""

    max_refresh = 1.0

    def __init__(self, remaining: Callable[[], float | None]) -> None:
        super().__init__()
        self._remaining = remaining

    def render(self, task: Task) -> Text:
        seconds = self._remaining()
        return Text("" if seconds is None else f"{timedelta(seconds=round(seconds))} left", style="dim")
