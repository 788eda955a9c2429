"""Predictions made up in memory."""

import numpy as np

from lexigraft.runs.predictions import Predictions


def texts(count: int, name: str = "text") -> tuple[str, ...]:
    """Names of so many texts."""
    return tuple(f"{name} {i}" for i in range(count))


def of_classes(right: np.ndarray, gold: np.ndarray, classes: int = 2, name: str = "text") -> Predictions:
    """Right where `right` `[N]` is true, else the next class."""
    predicted = np.where(right, gold, (gold + 1) % classes).astype(np.int32)
    return Predictions("class", tuple("abcdefgh"[:classes]), texts(len(gold), name), gold.astype(np.int32), predicted)
