"""What a job is: training by a resolved config."""

from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf

from lexigraft.commands import train


def execute(values: Mapping[str, Any]) -> float | None:
    """Train by resolved values, as the command line would once it has checked them; the best dev value.

    A finished run is not done again, and one that was stopped goes on. Nothing but the run's folder is written.
    """
    cfg = OmegaConf.create(dict(values))
    OmegaConf.set_struct(cfg, True)
    OmegaConf.set_readonly(cfg, True)
    return train.run(cfg)
