"""How rows without gradient moved, read from a few numbers that the optimizer moved beside the trained ones.

Weight decay multiplies by 1 - lr * decay at each step, and float32 rounds each product. By how much, relative to the
number, depends on its mantissa alone: so the witness is a number of each mantissa, and stands for all that have it.
A single 1.0 would drift away from what training does to a matrix by 1e-4 of its size in some thousand steps.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

COUNT = 2**14
_NEAR = 1e-4  # of a row's length: what is off by more did not come about by decay


def fresh(like: Tensor) -> Tensor:
    """A witness `[COUNT]` that saw nothing: from 1 up to 2, evenly spaced, in the type and on the device of `like`."""
    return (1 + torch.arange(COUNT) / COUNT).to(like)


def loss(witness: Tensor) -> Tensor | None:
    """What the witness lost by now, relative to its start, `[COUNT + 1]`; None: nothing. Float32, or a finer type."""
    start = fresh(witness)
    if torch.equal(witness, start):
        return None
    lost = (witness - start).to(torch.promote_types(witness.dtype, torch.float32)) / start
    return torch.cat([lost, lost[-1:]])


def moved(rows: Tensor, lost: Tensor) -> Tensor:
    """Each number of the rows moved as the witness of its mantissa was; between two of them, interpolated."""
    exact = rows.to(lost.dtype)
    place = _place(exact)
    below = place.long().clamp_(0, COUNT - 1)
    return exact.addcmul(exact, torch.lerp(lost[below], lost[below + 1], place - below)).to(rows.dtype)


def of_change(changes: Iterable[tuple[Tensor, Tensor]], like: Tensor) -> Tensor | None:
    """The witness of rows that were the first of each pair and are the second; None if decay does not explain it.

    `changes` is gone through twice. The witness has the type and device of `like`.
    """
    sums, counts = np.zeros(COUNT), np.zeros(COUNT)
    for before, now in changes:
        there = before != 0
        old, new = before[there].double(), now[there].double()
        at = _place(old).round().long().clamp_(0, COUNT - 1)
        sums += np.bincount(at, (new - old) / old, COUNT)
        counts += np.bincount(at, None, COUNT)
    (seen,) = counts.nonzero()
    if not len(seen):
        return None
    lost = torch.from_numpy(np.interp(np.arange(COUNT), seen, sums[seen] / counts[seen])).to(like.device)
    start = fresh(like)
    witness = (start + start * lost).to(like)
    known = loss(witness.cpu())
    for before, now in changes:
        expected = before if known is None else moved(before, known)
        if not bool(((now - expected).norm(dim=1) <= _NEAR * now.norm(dim=1)).all()):
            return None
    return witness


def _place(numbers: Tensor) -> Tensor:
    """Where between 0 (a mantissa of 1) and COUNT (of 2) the mantissas of the numbers are."""
    mantissas, _ = torch.frexp(numbers.abs())  # from 0.5 up to 1; 0 of a 0
    return (2 * mantissas - 1).mul_(COUNT)
