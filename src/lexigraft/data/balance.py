"""Classes evened out in what an epoch shows: rows repeated or left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lexigraft.data.subset import CLASSED
from lexigraft.data.text_data import Label


@dataclass(frozen=True)
class Balance:
    """How often an epoch shows each training text.

    "oversample" brings every class up to the largest by repeating its texts, "undersample" down to the smallest by
    leaving texts out, "none" changes nothing. A class of n texts, where the largest (smallest) has m, is shown
    n (m / n)^`strength` times, rounded: 1 makes all equal, 0.5 goes half of the way on a logarithmic scale.
    """

    method: Literal["none", "oversample", "undersample"] = "none"
    strength: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"balance.strength is {self.strength}; 0 (as it is) to 1 (all classes equal) is expected")

    def __call__(self, labels: Sequence[Label], kind: str, seed: int, epoch: int = 0) -> np.ndarray:
        """Places of the training texts that `epoch` shows, in ascending order, a repeated one several times: int64.

        Each text of a class comes equally often, or once more; which ones do follows from (seed, epoch). How many
        places there are is the same in every epoch. `ValueError` where the labels are no classes.
        """
        if self.method == "none":
            return np.arange(len(labels))
        if kind not in CLASSED:
            raise ValueError(
                f"balance={self.method} evens out classes, but the labels are of the kind {kind!r}: use balance=none "
                "(of the losses, some have weights for such labels)"
            )
        classes = np.asarray(labels, np.int64)
        present, sizes = np.unique(classes, return_counts=True)
        goal = sizes.max() if self.method == "oversample" else sizes.min()
        random = np.random.default_rng((seed, epoch))
        times = np.zeros(len(classes), np.int64)
        for of_class, size in zip(present, sizes):
            shown = round(float(size * (goal / size) ** self.strength))
            rows = np.flatnonzero(classes == of_class)
            times[rows] = shown // size
            times[random.permutation(rows)[: shown % size]] += 1
        return np.repeat(np.arange(len(classes)), times)


def shown_text(labels: Sequence[Label], shown: np.ndarray, classes: Sequence[str]) -> str:
    """One line: how many texts an epoch shows, and how many of each class (at most ten of them, rarest first)."""
    counts = np.bincount(np.asarray(labels, np.int64)[shown], minlength=len(classes))
    rarest = np.argsort(counts, kind="stable")[:10]
    named = ", ".join(f"{classes[i]} {counts[i]:,}" for i in rarest)
    return f"an epoch    shows {len(shown):,} texts: {named}{', …' if len(classes) > len(rarest) else ''}"
