"""What a job is: training by a resolved config."""

from collections.abc import Mapping
from typing import Any

from lexigraft.commands import train
from lexigraft.config.preflight import frozen


def execute(values: Mapping[str, Any]) -> float | None:
    """Train by resolved values, as the command line would once it has checked them; the best dev value.

    A finished run is not done again, and one that was stopped goes on. Nothing but the run's folder is written.
    """
    return train.run(frozen(values))
