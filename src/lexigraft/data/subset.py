"""A part of the training texts, for few-shot learning and learning curves; by seed, smaller parts in larger ones."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lexigraft.data.splits import count_classes, position
from lexigraft.data.text_data import Label, Split, TextData

CLASSED = ("class", "order")


@dataclass(frozen=True)
class Subset:
    """Which training texts a run may see: `per_class` of each class, a `share`, or a `number`; all, if none is given.

    Of a share or a number, every class has its part, and at least one text where there is room. `dev` cuts the dev
    split in the same way, so that choices too are made on few texts (Perez et al. 2021); test stays whole. What is
    chosen follows from `seed` (None: the run's) and the texts alone, not from their order. Of the same seed, the
    smaller part lies in the larger.
    """

    per_class: int | None = None
    share: float | None = None
    number: int | None = None
    dev: bool = False
    seed: int | None = None

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in ("per_class", "share", "number")}
        given = {name: value for name, value in given.items() if value is not None}
        if len(given) > 1:
            raise ValueError(f"subset.{' and subset.'.join(given)} are given together; give one of them")
        for name, value in given.items():
            if value <= 0 or (name == "share" and value > 1):
                expected = "a share above 0 and up to 1" if name == "share" else "1 or more"
                raise ValueError(f"subset.{name} is {value}; {expected} is expected")

    def __call__(self, data: TextData, seed: int) -> TextData:
        """The data set with less of train (and dev), and counts in `report["subset"]`; `seed` is the run's.

        `ValueError` for texts per class where the labels are no classes.
        """
        if self.per_class is self.share is self.number is None:
            return data
        if self.per_class is not None and data.kind not in CLASSED:
            raise ValueError(
                f"subset.per_class counts texts of each class, but the labels of {data.name} are of the kind "
                f"{data.kind!r}: use subset=share or subset=number"
            )
        seed = seed if self.seed is None else self.seed
        cut = {name: self._chosen(split, data.kind, seed) for name, split in data.splits().items() if self._cuts(name)}
        splits = {name: split.take(cut[name]) if name in cut else split for name, split in data.splits().items()}
        counts: dict[str, Any] = {n: {"rows": len(splits[n]), "of": len(data.splits()[n])} for n in cut}
        counts["seed"] = seed
        if self.per_class is not None:
            of_class = Counter(splits["train"].labels)
            counts["classes_with_fewer"] = sum(of_class[i] < self.per_class for i in range(len(data.classes)))
        report = data.report | {"subset": counts, "splits": count_classes(splits, data.classes)}
        return replace(data, train=splits["train"], dev=splits["dev"], report=report)

    def _cuts(self, name: str) -> bool:
        return name == "train" or (name == "dev" and self.dev)

    def _chosen(self, split: Split, kind: str, seed: int) -> list[int]:
        """The chosen rows, in the order in which they stand."""
        strata: Sequence[Label] = split.labels if kind in CLASSED else [0] * len(split)
        places = [position("\n".join(row), f"subset {seed}") for row in split.rows()]
        if self.per_class is not None:
            rank = _rank_in_stratum(strata, places)
            return np.flatnonzero(rank < self.per_class).tolist()
        number = self.number if self.number is not None else max(1, round((self.share or 0) * len(split)))
        return sorted(stratified_order(strata, places)[:number].tolist())


def stratified_order(strata: Sequence[Label], places: Sequence[float]) -> np.ndarray:
    """An order of N rows, int64 `[N]`, each beginning of which holds the strata in their shares, as near as can be.

    The first row of each stratum comes before all second ones; then row j of n stands at (j + 1/2) / n, which deals
    seats out by the Webster/Sainte-Laguë method: a longer beginning never holds fewer rows of a stratum. In a stratum,
    and between strata of equal claim, rows are in the order of their `places`.
    """
    rank = _rank_in_stratum(strata, places)
    sizes = Counter(strata)
    size = np.array([sizes[stratum] for stratum in strata], np.int64)
    claim = np.where(rank == 0, 0.0, (rank + 0.5) / np.maximum(size, 1))
    return np.lexsort((np.arange(len(rank)), np.asarray(places, float), claim))


def _rank_in_stratum(strata: Sequence[Label], places: Sequence[float]) -> np.ndarray:
    """How many rows of its stratum come before each row by their places, int64 `[N]`; equal ones by their order."""
    seen: defaultdict[Label, int] = defaultdict(int)
    rank = np.zeros(len(places), np.int64)
    for i in np.argsort(np.asarray(places, float), kind="stable").tolist():
        rank[i] = seen[strata[i]]
        seen[strata[i]] += 1
    return rank
