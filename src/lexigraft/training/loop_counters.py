"""Lightning's counters in a checkpoint, set to what they are when nothing is under way.

Lightning saves them amid what it is doing, and on resuming would do a part of that again, or leave it out.
"""

from typing import Any


def between_epochs(fit_loop: dict[str, Any]) -> None:
    """An epoch is over, and the next has not begun; saved at the epoch's end."""
    epochs = fit_loop["epoch_progress"]
    for counts in (epochs["total"], epochs["current"]):
        counts.update(dict.fromkeys(counts, counts["processed"]))
    for name in ("batch_progress", "scheduler_progress", "automatic_optimization.optim_progress"):
        _forget_current(fit_loop[f"epoch_loop.{name}"])
    fit_loop["epoch_loop.batch_progress"]["is_last_batch"] = False


def before_the_next_batch(fit_loop: dict[str, Any], *, validation: bool) -> None:
    """A step is done, and the next has not begun; after an epoch's last step, its `validation` has not."""
    epochs = fit_loop["epoch_progress"]
    for counts in (epochs["total"], epochs["current"]):
        # An epoch that is about to start: its hooks then prepare a new process, which never ran them.
        counts.update(dict.fromkeys(counts, counts["completed"]))
        counts["ready"] += 1
    batches = fit_loop["epoch_loop.batch_progress"]
    for counts in (batches["total"], batches["current"]):
        counts.update(dict.fromkeys(counts, counts["completed"]))
    batches["is_last_batch"] = validation
    validated = fit_loop["epoch_loop.val_loop.batch_progress"]
    for counts in (validated["total"], validated["current"]):
        counts.update(dict.fromkeys(counts, 0))
    if validation:
        # Amid its first batch: otherwise Lightning takes it for done. It begins with the first batch.
        validated["total"].update(ready=1, started=1)


def _forget_current(progress: dict[str, Any]) -> None:
    for name, value in progress.items():
        if name == "current":
            value.update(dict.fromkeys(value, 0))
        elif isinstance(value, dict):
            _forget_current(value)
