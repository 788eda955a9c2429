"""What a filling method answers: which tokens it can make a row for, and how.

A filling method is a function `(source, tokens, generator) -> Filled`. It is asked only for the target tokens that
no earlier step could serve, and may decline some of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.vocab.vocabulary import Token


@dataclass(frozen=True)
class Combination:
    """N weighted sums of source rows, in CSR form: sum i is over `source[start[i]:start[i + 1]]`.

    `start` int64 [N + 1], `source` int64 [nnz] (row numbers), `weight` float32 [nnz].
    """

    start: np.ndarray
    source: np.ndarray
    weight: np.ndarray

    @classmethod
    def mean_of(cls, pieces: Sequence[Sequence[int]]) -> "Combination":
        """The plain mean of each list of source rows; every list holds at least one."""
        lengths = np.fromiter((len(p) for p in pieces), np.int64, len(pieces))
        start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        source = np.fromiter((i for p in pieces for i in p), np.int64, int(start[-1]))
        return cls(start, source, np.repeat(1.0 / lengths, lengths).astype(np.float32))

    def apply(self, rows: torch.Tensor) -> torch.Tensor:
        """The sums `[N, D]` over `rows` `[V, D]`, added up in float32, in the dtype of `rows`."""
        used, source = np.unique(self.source, return_inverse=True)
        sums = torch.nn.functional.embedding_bag(
            torch.from_numpy(source.reshape(-1)),
            rows[torch.from_numpy(used)].float(),
            torch.from_numpy(self.start[:-1]),
            mode="sum",
            per_sample_weights=torch.from_numpy(self.weight),
        )
        return sums.to(rows.dtype)


@dataclass(frozen=True)
class Filled:
    """The tokens that a method serves and how their rows are made.

    `done` bool [N] over the tokens that were asked for. `make(rows [V, D]) -> [done.sum(), D]` builds the rows out of
    a source matrix: it is called once for the input rows and once for the output rows of an untied head.
    `combination` is set when `make` is a weighted sum of source rows, so that provenance can name them.
    """

    tier: str
    done: np.ndarray
    make: Callable[[torch.Tensor], torch.Tensor]
    combination: Combination | None = None


class FillingMethod(Protocol):
    """A step of `conf/transplant/*.yaml`'s `fill` list."""

    def __call__(self, source: EmbeddingMatrix, tokens: Sequence[Token], generator: torch.Generator) -> Filled: ...
