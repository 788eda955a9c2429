"""What a job is: training by a resolved config."""

import importlib
from collections.abc import Mapping
from typing import Any

from lexigraft.config.preflight import command_of, frozen


def execute(values: Mapping[str, Any]) -> float | None:
    """Train by resolved values, as the command line would once it has checked them; the best dev value.

    A finished run is not done again, and one that was stopped goes on. Nothing but the run's folder is written.
    """
    value: float | None = importlib.import_module(f"lexigraft.commands.{command_of(values)}").run(frozen(values))
    return value
