"""A tracker beside metrics.csv and result.json, whose failure never ends a run."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from lexigraft.training.tracking.tracker import Tracker

log = logging.getLogger(__name__)


class Mirror(Logger):
    """Passes what a run logs to a tracker, on rank 0 alone; the first failure is a warning and ends the mirroring.

    The tracker starts with the first metrics: a run that fails before leaves nothing there, and whether it is a resumed
    one is known by then.
    """

    def __init__(self, title: str, tracker: Tracker, folder: Path) -> None:
        super().__init__()
        self.title = title
        self._tracker, self._folder = tracker, folder
        self._resumed: int | None = None
        self._started = self._over = False

    @property
    def name(self) -> str:
        return self.title

    @property
    def version(self) -> str:
        return self._folder.name

    @property
    def save_dir(self) -> str:
        return str(self._folder)

    def after_resume(self, step: int, rows: int | None = None) -> None:
        """Training goes on after `step` optimizer steps; metrics.csv then had `rows` rows."""
        self._resumed = step

    def log_hyperparams(self, *arguments: Any, **named: Any) -> None:
        """The tracker has the whole config from its start."""

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        self._do("log", {key: float(value) for key, value in metrics.items()}, step or 0)

    def finalize(self, status: str) -> None:
        """Lightning's end of training: after a success the results are still to come."""
        if self._started and status != "success":
            self._end(failed=True)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Tell of the results, and close the tracker's run."""
        self._do("tell", result)
        self._end(failed=False)

    def _end(self, failed: bool) -> None:
        self._do("end", failed)
        self._over = True

    @rank_zero_only
    def _do(self, what: str, *arguments: Any) -> None:
        if self._over:
            return
        try:
            if not self._started:
                self._started = True
                self._tracker.start(self._resumed)
            getattr(self._tracker, what)(*arguments)
        except Exception as error:
            self._over = True
            log.warning(
                "%s failed (%s): from here on the run is recorded in metrics.csv and result.json only",
                self.title,
                str(error).strip() or type(error).__name__,
            )


def finish(loggers: Iterable[Logger], result: Mapping[str, Any]) -> None:
    """Tell the trackers among the loggers of what result.json says, and close them; no failure passes through."""
    for logger in loggers:
        if isinstance(logger, Mirror):
            logger.finish(result)
