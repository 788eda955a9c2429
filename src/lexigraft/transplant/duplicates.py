"""Rows that equal another row, and whether what they were made of explains it."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch

from lexigraft.transplant.filling import Combination

_NUMBERS_AT_A_TIME = 1 << 20


@dataclass(frozen=True)
class Duplicates:
    """How many rows equal another one, bit for bit.

    `copies` are copies of one source row (or of source rows that are equal), `same_sums` sums of the same source rows
    with the same weights; `accidental` holds the ids of the others, int64.
    """

    copies: int
    same_sums: int
    accidental: np.ndarray

    @property
    def rows(self) -> int:
        """All rows that equal another."""
        return self.copies + self.same_sums + len(self.accidental)


def find_duplicates(
    rows: torch.Tensor, made_of: Combination, source_rows: torch.Tensor, considered: np.ndarray
) -> Duplicates:
    """The equal ones among the rows `[T, D]` that `considered` (bool [T]) names, by what they are made of.

    `source_rows` `[V, D]` are those that `made_of` numbers: what was equal there is equal here, and no accident.
    """
    copies, same_sums, accidental = 0, 0, []
    first_equal = np.arange(len(source_rows))
    groups = equal_rows(rows, np.flatnonzero(considered))
    if groups:
        for equal in equal_rows(source_rows, np.arange(len(source_rows))):
            first_equal[equal] = equal[0]
    for group in groups:
        sums = [_sum_of(made_of, i, first_equal) for i in group.tolist()]
        times = Counter(sums)
        for i, made in zip(group.tolist(), sums):
            if not made or times[made] == 1:
                accidental.append(i)
            elif len(made) == 1:
                copies += 1
            else:
                same_sums += 1
    return Duplicates(copies, same_sums, np.array(sorted(accidental), np.int64))


def equal_rows(rows: torch.Tensor, ids: np.ndarray) -> list[np.ndarray]:
    """Groups of two or more `ids` whose rows are equal bit for bit, each in ascending order."""
    keys = _fingerprints(rows)[ids]
    order = np.argsort(keys, kind="stable")
    bounds = np.flatnonzero(np.diff(keys[order])) + 1
    starts, stops = np.append(0, bounds), np.append(bounds, len(order))
    several = stops - starts > 1
    groups = []
    for start, stop in zip(starts[several].tolist(), stops[several].tolist()):
        by_bytes: dict[bytes, list[int]] = {}
        for i in ids[order[start:stop]].tolist():
            by_bytes.setdefault(rows[i].contiguous().view(torch.uint8).numpy().tobytes(), []).append(i)
        groups += [np.array(group) for group in by_bytes.values() if len(group) > 1]
    return groups


def _fingerprints(rows: torch.Tensor) -> np.ndarray:
    """A number for each row, int64 [V], a random linear function of its bits: few rows that differ share it."""
    integers = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[rows.element_size()]
    width = rows.shape[1]
    generator = torch.Generator().manual_seed(0)
    factors = torch.randint(-(2**62), 2**62, (width,), generator=generator) * 2 + 1
    keys = torch.empty(len(rows), dtype=torch.int64)
    step = max(1, _NUMBERS_AT_A_TIME // max(1, width))
    for start in range(0, len(rows), step):
        bits = rows[start : start + step].contiguous().view(integers)
        keys[start : start + step] = (bits * factors).sum(1)
    return keys.numpy()


def _sum_of(made_of: Combination, i: int, first_equal: np.ndarray) -> tuple[tuple[int, float], ...]:
    """The weighted sum behind row i in a form that does not depend on order; empty where it is no sum.

    Weights that are lost beside the others in float32 do not count.
    """
    part = slice(int(made_of.start[i]), int(made_of.start[i + 1]))
    total: dict[int, float] = {}
    for source, weight in zip(first_equal[made_of.source[part]].tolist(), made_of.weight[part].tolist()):
        total[source] = total.get(source, 0.0) + weight
    return tuple(sorted((source, rounded) for source, weight in total.items() if (rounded := round(weight, 6))))
