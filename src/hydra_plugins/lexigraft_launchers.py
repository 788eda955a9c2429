"""hydra/launcher=processes, submitit_local, submitit_slurm. Hydra builds launchers of the package `hydra_plugins` only.

Every Hydra application of the environment imports this file when it starts: nothing heavy may be imported here.
"""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class PoolLauncher(Launcher):
    """Hands the checked configs of a line to a pool of processes or cluster jobs.

    `pool` is its dotted name, `settings` its arguments. A pool has `run(jobs) -> outcomes` and is a context manager.
    """

    def __init__(self, pool: str, **settings: Any) -> None:
        self.pool, self.settings = pool, settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """What became of each job, in their order."""
        from lexigraft.studies.hydra_launcher import launch

        return launch(self, job_overrides, initial_job_idx)
