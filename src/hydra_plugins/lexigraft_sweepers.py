"""hydra/sweeper=optuna. Hydra builds sweepers of the package `hydra_plugins` only.

Every Hydra application of the environment imports this file when it starts: nothing heavy may be imported here.
"""

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class OptunaSweeper(Sweeper):
    """Searches over the keys of a line that have several values; the settings are those of conf/hydra/sweeper."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.task, self.config = hydra_context, task_function, config

    def sweep(self, arguments: list[str]) -> Any:
        """Run the search; its best trials as plain values."""
        from lexigraft.studies.search.sweeper import sweep

        return sweep(self, arguments)
