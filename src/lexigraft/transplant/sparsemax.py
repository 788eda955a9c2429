"""Sparsemax weights over the cosines of many vectors to many others, in bounded memory."""

import math
from collections.abc import Iterator

import numpy as np
import torch

from lexigraft.transplant.filling import Combination
from lexigraft.transplant.neighbours import full_precision, listed, units, vectors

GROUP = 64  # keys, the greatest cosine of which enters the first bound
HELD, PART = 2**23, 2**20  # numbers: keys are brought to length one once where they are few, else part by part


def sparse_weights(
    queries: torch.Tensor,
    keys: torch.Tensor,
    *,
    top: int | None = None,
    temperature: float = 1.0,
    chunk: int | None = None,
) -> Combination:
    """sparsemax(cos(q, K) / temperature) for each of `queries` `[N, D]` over `keys` `[K, D]`: N sums over key numbers.

    sparsemax(z) is the point of the probability simplex nearest to z: max(z - tau, 0) with the tau that makes the sum
    1 (Martins & Astudillo 2016). Each sum is ordered by weight, ties by lower key; `top` keeps that many of the
    greatest weights, as they are. A query that is no vector (see `neighbours.vectors`) has an empty sum, a key that is
    none never a weight.
    """
    blocks = [_strongest(b, top) for b in weight_blocks(queries, keys, temperature=temperature, chunk=chunk)]
    lengths = np.concatenate([np.diff(b.start) for b in blocks] or [np.zeros(0, np.int64)])
    return Combination(
        np.concatenate([[0], lengths.cumsum()]).astype(np.int64),
        np.concatenate([b.source for b in blocks] or [np.zeros(0, np.int64)]),
        np.concatenate([b.weight for b in blocks] or [np.zeros(0, np.float32)]),
    )


def weighted_rows(
    queries: torch.Tensor,
    keys: torch.Tensor,
    rows: torch.Tensor,
    *,
    temperature: float = 1.0,
    chunk: int | None = None,
) -> torch.Tensor:
    """The sums of `sparse_weights` over `rows` `[K, D']`: `[N, D']`, without ever holding all the weights."""
    sums = rows.new_zeros(len(queries), rows.shape[1])
    at = 0
    for block in weight_blocks(queries, keys, temperature=temperature, chunk=chunk):
        sums[at : at + len(block)] = block.apply(rows)
        at += len(block)
    return sums


def weight_blocks(
    queries: torch.Tensor, keys: torch.Tensor, *, temperature: float = 1.0, chunk: int | None = None
) -> Iterator[Combination]:
    """The sums of `sparse_weights` for one run of queries after the other, `chunk` of them at a time.

    No support is guessed: tau of some keys never exceeds tau of all, so that the keys above tau of the greatest cosines
    of groups of keys hold the whole support. By default a block takes some 50 MB, 400 where the support is every key.
    """
    if temperature <= 0:
        raise ValueError(f"the temperature of sparsemax is {temperature}, but must be above 0")
    usable, key_norms = vectors(keys)
    asked, query_norms = vectors(queries)
    per_block = chunk or max(1, min(1024, 2**21 // max(1, len(usable))))
    held = units(keys, key_norms, usable) if keys.shape[1] * len(usable) <= HELD else None
    step = len(usable) if held is not None else max(1, PART // keys.shape[1])
    for ids in torch.arange(len(queries)).split(per_block):
        place = torch.nonzero(torch.isin(ids, asked))[:, 0]
        if not len(usable) or not len(place):
            yield Combination(np.zeros(len(ids) + 1, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
            continue
        query = units(queries, query_norms * temperature, ids[place])
        scores = torch.full((len(place), -(-len(usable) // GROUP) * GROUP), -math.inf)
        with full_precision():
            for i in range(0, len(usable), step):
                part = held if held is not None else units(keys, key_norms, usable[i : i + step])
                torch.mm(query, part.T, out=scores[:, i : i + len(part)])
        row, column, weight = _sparsemax(scores)
        start = np.zeros(len(ids) + 1, np.int64)
        start[1:] = torch.bincount(place[row], minlength=len(ids)).cumsum(0).numpy()
        yield Combination(start, usable[column].numpy(), weight.numpy())


def _sparsemax(scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The sparsemax of each row of `scores` [n, K]: rows, columns and weights above 0, row by row, greatest first."""
    groups = scores.view(len(scores), -1, GROUP)
    greatest = groups.amax(2)
    bound = _threshold(greatest.sort(dim=1, descending=True).values).float()
    bound -= 2.0**-20 * bound.abs().clamp(min=1)  # below whatever was rounded
    row, group = torch.nonzero(greatest > bound[:, None], as_tuple=True)
    within = groups[row, group]
    entry, column = torch.nonzero(within > bound[row, None], as_tuple=True)
    value, columns = listed(row[entry], within[entry, column], group[entry] * GROUP + column, len(scores))
    value, order = value.sort(dim=1, descending=True, stable=True)
    weight = (value.double() - _threshold(value)[:, None]).float()
    kept = weight > 0
    return torch.nonzero(kept)[:, 0], columns.gather(1, order)[kept], weight[kept]


def _threshold(descending: torch.Tensor) -> torch.Tensor:
    """tau of each row of scores [n, K] that are sorted downwards, float64 [n]: (sum of the support - 1) / its size."""
    scores = descending.double()
    above = scores.cumsum(1) - 1
    size = (scores * torch.arange(1, scores.shape[1] + 1) > above).sum(1, keepdim=True)
    return (above.gather(1, size - 1) / size)[:, 0]


def _strongest(sums: Combination, top: int | None) -> Combination:
    if top is None:
        return sums
    lengths = np.diff(sums.start)
    place = np.arange(len(sums.source)) - np.repeat(sums.start[:-1], lengths)
    kept = place < top
    start = np.concatenate([[0], np.minimum(lengths, top).cumsum()]).astype(np.int64)
    return Combination(start, sums.source[kept], sums.weight[kept])
