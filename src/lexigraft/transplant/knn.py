"""New rows from the nearest shared tokens in a donor's space."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from lexigraft.transplant.donor import anchors, of_tokens, vectors_of
from lexigraft.transplant.filling import Combination, Filled, Gap
from lexigraft.transplant.neighbours import Metric, nearest

Weights = Literal["inverse", "softmax", "barycentric", "least_squares"]

RIDGE = 1e-3  # of the mean diagonal of a system
SAME = 1e-6  # two vectors are one if their distance is at most this share of their length


def knn(
    gap: Gap, k: int = 64, metric: Metric = "cosine", weights: Weights = "inverse", temperature: float = 0.1
) -> Filled:
    """kNN interpolation: row(t) = sum of w_i S[a_i] over the k anchors a_i nearest to t in the space `donor`.

    Anchors are the tokens that source and donor share. With t `[D]` the donor's row of the new token, P `[k, D]` those
    of its anchors and d_i their distances (1 - cosine, or Euclidean), the weights w `[k]` are

        inverse         1 / d_i, normalised; anchors that equal t share everything
        softmax         softmax(cosine_i / temperature); softmax(-d_i / temperature) for l2
        barycentric     argmin |P^T w - t|^2 + r |w|^2 with sum w = 1, the solution of
                        [[P P^T + r I, 1], [1^T, 0]] [w; l] = [P t; 1]
        least_squares   argmin |P^T w - t|^2 + r |w|^2, the solution of (P P^T + r I) w = P t

    where r is 1e-3 of the mean diagonal (of P P^T, around t for barycentric), so that neither duplicates nor k > D give
    great weights. Under cosine, P and t are taken at length one. The output rows of an untied head are made in the
    donor's own output space, where it has one. Special tokens and those without a vector in the donor are declined.
    """
    rule = _Rule(k, metric, weights, temperature)
    donor = gap.space("donor")
    source_ids, donor_ids = anchors(gap.source, donor)
    done, asked = vectors_of(donor, gap.tokens)
    done = done.copy()
    ids, weight = rule.mixtures(asked, donor.rows[torch.from_numpy(donor_ids)])
    served = weight.any(1)
    done[done] = served
    ids, weight = ids[served], weight[served]

    output = None
    if gap.source.output_rows is not None and donor.output_rows is not None:
        theirs = of_tokens(donor, [token for token, is_done in zip(gap.tokens, done, strict=True) if is_done])
        asked = donor.output_rows[torch.from_numpy(theirs)]
        asked[torch.from_numpy(theirs < 0)] = 0  # no vector
        own, own_weight = rule.mixtures(asked, donor.output_rows[torch.from_numpy(donor_ids)])
        lacking = ~own_weight.any(1)  # whose mixture is that of the input rows
        width = max(ids.shape[1], own.shape[1])
        own, own_weight = _widened(own, width), _widened(own_weight, width)
        own[lacking], own_weight[lacking] = _widened(ids, width)[lacking], _widened(weight, width)[lacking]
        output = Combination.of_dense(source_ids[own], own_weight)
    notes = {"anchors": len(donor_ids), "tokens without a vector": int((~done).sum())}
    return Filled("knn", done, Combination.of_dense(source_ids[ids], weight), output, notes=notes)


@dataclass(frozen=True)
class _Rule:
    k: int
    metric: Metric
    weights: Weights
    temperature: float

    def __post_init__(self) -> None:
        if self.weights not in ("inverse", "softmax", "barycentric", "least_squares"):
            raise ValueError(
                f"unknown weights {self.weights!r} for knn: expected inverse, softmax, barycentric or least_squares"
            )
        if self.temperature <= 0:
            raise ValueError(f"the temperature of knn is {self.temperature}, but must be above 0")

    def mixtures(self, queries: torch.Tensor, keys: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Key numbers int64 [N, c] and weights float32 [N, c] of each query, c <= k; all 0 for queries without any."""
        ids, values = nearest(queries, keys, self.k, metric=self.metric)
        ids = ids[:, (ids >= 0).any(0)]  # as many columns as there are usable keys
        values = values[:, : ids.shape[1]]
        weights = torch.zeros_like(values)
        served = torch.nonzero((ids >= 0).any(1))[:, 0]
        for at in served.split(max(1, 2**21 // max(1, ids.shape[1] * max(keys.shape[1], ids.shape[1])))):
            weights[at] = self._weights(queries[at], keys[ids[at]], values[at].double()).float()
        return ids.clamp(min=0).numpy(), weights.numpy()

    def _weights(self, t: torch.Tensor, p: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """float64 [n, c], of queries [n, D], their neighbours [n, c, D] and the cosines or distances [n, c]."""
        if self.weights == "softmax":
            return torch.softmax((values if self.metric == "cosine" else -values) / self.temperature, 1)
        t, p = t.double(), p.double()
        lengths = torch.linalg.vector_norm(t, dim=1, keepdim=True)
        if self.metric == "cosine":
            t, p = t / lengths, torch.nn.functional.normalize(p, dim=2, eps=0)
            lengths = torch.ones_like(lengths)
        if self.weights == "inverse":
            distances = 1 - values if self.metric == "cosine" else values
            same = distances <= SAME * lengths
            shares = torch.where(same.any(1, keepdim=True), same.double(), 1 / distances)
            return shares / shares.sum(1, keepdim=True)
        ones = torch.ones(*values.shape, 1, dtype=torch.float64)
        if self.weights == "least_squares":
            return _solve(p @ p.mT, p @ t[:, :, None])
        # Where sum w = 1, P^T w - t is (P - t)^T w: without the multiplier, and well conditioned far from the origin.
        around = p - t[:, None]
        shares = _solve(around @ around.mT, ones)
        return shares / shares.sum(1, keepdim=True)


def _solve(products: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """x [n, c] of (A + r I) x = b, for positive semi-definite A [n, c, c] and b [n, c, 1]."""
    ridge = RIDGE * products.diagonal(dim1=1, dim2=2).mean(1)
    ridge = torch.where(ridge > 0, ridge, 1.0)
    return torch.linalg.solve(
        products + ridge[:, None, None] * torch.eye(products.shape[1], dtype=torch.float64), right
    )[:, :, 0]


def _widened(table: np.ndarray, width: int) -> np.ndarray:
    return np.pad(table, ((0, 0), (0, width - table.shape[1])))
