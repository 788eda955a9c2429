"""Exact nearest neighbours of many vectors among many, in bounded memory."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

Metric = Literal["cosine", "l2"]

SPARE = 8  # candidates beyond k: they show almost always that the k best are certain
HUGE = 1e18  # a norm from which the squares of float32 numbers overflow


def nearest(
    queries: torch.Tensor, keys: torch.Tensor, k: int, *, metric: Metric = "cosine", chunk: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The `k` nearest of `keys` `[K, D]` to each of `queries` `[N, D]`: ids int64 `[N, k]`, values float32 `[N, k]`.

    Values are cosines or Euclidean distances, best first; what is equal in float32 is ordered by lower id. They are
    exact: float32 products propose candidates, float64 sums decide, and a bound on the rounding errors shows that
    nothing was missed (queries where it cannot are searched again). So neither `chunk`, the queries and the keys per
    block, nor the number of threads changes the answer.

    A row that is zero, not finite or of norm 1e18 and more is no vector: as a key it is never chosen, as a query it
    has no neighbours. Places without a neighbour (there may also be fewer than `k` keys) have id -1 and value -inf
    for cosine, inf for l2. Extra memory: N (k + 8) 8 bytes beside the answer, and about 100 MB.
    """
    _check(queries, keys, k, metric)
    ids = torch.full((len(queries), k), -1, dtype=torch.int64)
    values = torch.full((len(queries), k), -math.inf if metric == "cosine" else math.inf)
    asked, query_norms = vectors(queries)
    usable, key_norms = vectors(keys)
    count = min(k, len(usable))
    if count and len(asked):
        key_block = chunk or max(256, min(8192, 2**22 // max(1, queries.shape[1])))
        query_block = chunk or max(16, min(512, 2**22 // (key_block + 4 * count)))
        search = _Search(queries, query_norms, keys, key_norms, usable, metric == "cosine", key_block, query_block)
        with full_precision():
            search.best(asked, count, ids, values)
    return ids, values


def vectors(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Which of `rows` `[V, D]` are vectors: int64 ids; and the norms of all, float64 `[V]`.

    A vector is finite, not zero and of norm below 1e18.
    """
    norms = torch.empty(len(rows), dtype=torch.float64)
    step = max(1, 2**20 // max(1, rows.shape[1]))
    for i in range(0, len(rows), step):
        norms[i : i + step] = torch.linalg.vector_norm(rows[i : i + step].double(), dim=1)
    return torch.nonzero((norms > 0) & (norms < HUGE))[:, 0], norms


def units(rows: torch.Tensor, norms: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The rows `ids` at length one, float32 `[n, D]`; `norms` as `vectors` gives them."""
    return (rows[ids].double() / norms[ids, None]).float()


@contextmanager
def full_precision() -> Iterator[None]:
    """Float32 matrix products are made in float32, whatever `torch.set_float32_matmul_precision` allows."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@dataclass(frozen=True)
class _Search:
    """A search under way. Keys are named by their place in `usable`, the ids of those that are vectors.

    A key is scored by q.k between unit vectors for cosine, by q.k - |k|^2 / 2 for l2: more is nearer. One float32
    product gives each score with its greatest possible rounding error added; the vectors have further columns for that.
    """

    queries: torch.Tensor
    query_norms: torch.Tensor
    keys: torch.Tensor
    key_norms: torch.Tensor
    usable: torch.Tensor
    cosine: bool
    key_block: int
    query_block: int

    def best(self, asked: torch.Tensor, count: int, ids: torch.Tensor, values: torch.Tensor) -> None:
        """Write the `count` nearest keys of the queries `asked` int64 [n] into `ids` and `values` [N, k]."""
        candidates, floor = self._candidates(asked, min(count + SPARE, len(self.usable)))
        uncertain = []
        for at in torch.arange(len(asked)).split(self.query_block):
            found = candidates[at].long().sort(1).values  # by id, so that the stable sort by value leaves ties by id
            query = asked[at]
            value = self._values(query[:, None].expand_as(found).reshape(-1), found.reshape(-1)).view_as(found)
            value, order = value.sort(dim=1, descending=self.cosine, stable=True)
            ids[query, :count] = self.usable[found.gather(1, order[:, :count])]
            values[query, :count] = value[:, :count]
            uncertain.append(query[~self._certain(query, value[:, count - 1], floor[at])])
        for query in torch.cat(uncertain).split(64):
            found, value = self._within(query, values[query, count - 1], count)
            ids[query, :count], values[query, :count] = self.usable[found], value

    def _candidates(self, asked: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The `count` keys of the highest upper bounds int32 [n, count], and bounds [n] that no other key exceeds."""
        best = torch.full((len(asked), count), -math.inf)
        ids = torch.zeros((len(asked), count), dtype=torch.int32)
        for at, block, upper in self._upper_bounds(asked):
            row, column = torch.nonzero(upper > best[at, -1:], as_tuple=True)
            if not len(row):
                continue
            if len(row) * 8 > upper.numel():
                new, place = upper.topk(min(count, upper.shape[1]), 1)
                new_ids = block[place]
            else:
                new, new_ids = listed(row, upper[row, column], block[column], len(upper))
            best[at], place = torch.cat([best[at], new], 1).topk(count, 1)
            ids[at] = torch.cat([ids[at], new_ids.int()], 1).gather(1, place)
        # Keys that all are candidates leave none that could be better.
        return ids, best[:, -1] if count < len(self.usable) else torch.full((len(asked),), -math.inf)

    def _certain(self, query: torch.Tensor, last: torch.Tensor, floor: torch.Tensor) -> torch.Tensor:
        """Whether keys that score at most `floor` [b] are all strictly farther than the values `last` [b]."""
        if self.cosine:
            return last > floor
        square = self.query_norms[query] ** 2 * (1 - 2.0**-40) - 2 * floor.double()
        return last < square.clamp(min=0).sqrt().float()

    def _within(self, query: torch.Tensor, last: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The `count` nearest keys of the queries, of which as many are known to be at least as near as `last` [b].

        Every key whose upper bound reaches `last` is compared: it takes long only where very many are alike.
        """
        if self.cosine:
            reach = last.double() - 2.0**-22
        else:
            reach = (self.query_norms[query] ** 2 * (1 - 2.0**-40) - (last.double() * (1 + 2.0**-22)) ** 2) / 2
        reach = torch.nextafter(reach.float(), torch.tensor(-math.inf))
        rows, ids, values = torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64), torch.empty(0)
        for at, block, upper in self._upper_bounds(query):
            row, column = torch.nonzero(upper >= reach[at, None], as_tuple=True)
            row += at.start
            value = self._values(query[row], block[column])
            rows, ids, values = self._shortened(
                torch.cat([rows, row]), torch.cat([ids, block[column]]), torch.cat([values, value]), count
            )
        return ids.view(len(query), count), values.view(len(query), count)

    def _shortened(
        self, row: torch.Tensor, ids: torch.Tensor, value: torch.Tensor, count: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The `count` nearest of each row of a list where, for equal values, the lower id stands first."""
        order = value.sort(dim=0, descending=self.cosine, stable=True).indices
        order = order[row[order].sort(dim=0, stable=True).indices]
        row, ids, value = row[order], ids[order], value[order]
        kept = _place_in_row(row, int(row.max()) + 1 if len(row) else 0) < count
        return row[kept], ids[kept], value[kept]

    def _upper_bounds(self, asked: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
        """Block by block: which of the queries `asked`, which keys [c], and the upper bounds of their scores [b, c]."""
        # A dot product of n terms is off by n u |q||k| at most; some terms more for what is rounded before and after.
        error = (self.queries.shape[1] + 16) * 2.0**-24
        for key_ids in torch.arange(len(self.usable)).split(self.key_block):
            of = self.usable[key_ids]
            norms = self.key_norms[of, None]
            if self.cosine:
                further = torch.full((len(of), 1), error)
                key = torch.cat([units(self.keys, self.key_norms, of), further], 1)
            else:
                further = torch.cat([norms**2 * (error - 0.5), norms * error], 1)
                key = torch.cat([self.keys[of].float(), further.float()], 1)
            for i in range(0, len(asked), self.query_block):
                query = asked[i : i + self.query_block]
                one = torch.ones(len(query), 1)
                if self.cosine:
                    left = torch.cat([units(self.queries, self.query_norms, query), one], 1)
                else:
                    left = torch.cat([self.queries[query].float(), one, self.query_norms[query, None].float()], 1)
                yield slice(i, i + self.query_block), key_ids, left @ key.T

    def _values(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        """The cosines or distances of P pairs of a query and a key, summed in float64, float32 [P]."""
        key = self.usable[key]
        values = torch.empty(len(query))
        step = max(1, 2**18 // max(1, self.queries.shape[1]))
        for i in range(0, len(query), step):
            at = slice(i, i + step)
            one = self.queries.index_select(0, query[at]).double().numpy()
            other = self.keys.index_select(0, key[at]).double().numpy()
            if not self.cosine:
                one = other = one - other
            # numpy adds up a row alike however many rows there are, and however many threads
            sums = torch.from_numpy(np.einsum("pd,pd->p", one, other))
            values[at] = sums / (self.query_norms[query[at]] * self.key_norms[key[at]]) if self.cosine else sums.sqrt()
        return values


def listed(row: torch.Tensor, value: torch.Tensor, ids: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Entries given row by row as tables [count, widest row], filled up with -inf and 0."""
    place = _place_in_row(row, count)
    values = torch.full((count, int(place.max()) + 1), -math.inf)
    found = torch.zeros_like(values, dtype=torch.int64)
    values[row, place], found[row, place] = value, ids
    return values, found


def _place_in_row(row: torch.Tensor, count: int) -> torch.Tensor:
    """How many entries of the same row stand before each, for ascending `row` int64 [n]."""
    lengths = torch.bincount(row, minlength=count)
    return torch.arange(len(row)) - (lengths.cumsum(0) - lengths)[row]


def _check(queries: torch.Tensor, keys: torch.Tensor, k: int, metric: str) -> None:
    if metric not in ("cosine", "l2"):
        raise ValueError(f"unknown metric {metric!r}: expected 'cosine' or 'l2'")
    if k < 1:
        raise ValueError(f"k is {k}, but at least one neighbour is needed: give 1 or more")
    if queries.ndim != 2 or keys.ndim != 2 or queries.shape[1] != keys.shape[1]:
        raise ValueError(
            f"vectors of shape {tuple(queries.shape)} have no distance to vectors of shape {tuple(keys.shape)}: "
            "[N, D] and [K, D] of the same D are expected"
        )
