"""Random numbers that depend on (seed, epoch, text, place) alone: equal in whatever batch or process."""

import hashlib
from dataclasses import dataclass

import numpy as np

MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
STEP = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Draws:
    """The random numbers of one augmentation in one epoch; `name` keeps those of different ones apart.

    A counter-based generator (Salmon et al. 2011): each number is a hash of where it is drawn, by the finalizer of
    SplitMix64 (Steele et al. 2014).
    """

    seed: int
    epoch: int
    name: str

    def uniform(self, texts: np.ndarray, places: np.ndarray | int, purpose: int = 0) -> np.ndarray:
        """Numbers in [0, 1), float64 `[n]`, for n texts (by their index in the data set) and places in them."""
        digest = hashlib.sha256(f"{self.seed} {self.epoch} {self.name} {purpose}".encode()).digest()
        key = np.uint64(int.from_bytes(digest[:8], "little"))
        with np.errstate(over="ignore"):
            mixed = _mixed(key ^ _mixed(texts.astype(np.uint64) * STEP))
            mixed = _mixed(mixed + np.asarray(places).astype(np.uint64) * STEP)
        return (mixed >> np.uint64(11)) * 2.0**-53


def _mixed(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * MIX[0]
    x = (x ^ (x >> np.uint64(27))) * MIX[1]
    return x ^ (x >> np.uint64(31))
