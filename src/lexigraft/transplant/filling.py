"""What a filling method is asked, and what it answers: which tokens it can make a row for, and how.

A filling method is a function `(gap) -> Filled`. It is asked only for the target tokens that no earlier step could
serve, and may decline some of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.vocab.tokenizer import Tokenizer
from lexigraft.vocab.vocabulary import Token


@dataclass(frozen=True)
class Combination:
    """N weighted sums of source rows, in CSR form: sum i is over `source[start[i]:start[i + 1]]`.

    `start` int64 [N + 1], `source` int64 [nnz] (row numbers), `weight` float32 [nnz].
    """

    start: np.ndarray
    source: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.start) - 1

    @classmethod
    def copies_of(cls, ids: np.ndarray) -> "Combination":
        """Each of the source rows `ids` (int64 [N]) alone."""
        return cls(np.arange(len(ids) + 1), ids.astype(np.int64), np.ones(len(ids), np.float32))

    @classmethod
    def mean_of(cls, pieces: Sequence[Sequence[int]]) -> "Combination":
        """The plain mean of each list of source rows; every list holds at least one."""
        lengths = np.fromiter((len(p) for p in pieces), np.int64, len(pieces))
        start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        source = np.fromiter((i for p in pieces for i in p), np.int64, int(start[-1]))
        return cls(start, source, np.repeat(1.0 / lengths, lengths).astype(np.float32))

    @classmethod
    def of_dense(cls, source: np.ndarray, weight: np.ndarray) -> "Combination":
        """N sums of K rows each: `source` int64 [N, K], `weight` [N, K]; entries of weight 0 are left out."""
        kept = weight != 0
        start = np.concatenate([[0], np.cumsum(kept.sum(1))]).astype(np.int64)
        return cls(start, source[kept].astype(np.int64), weight[kept].astype(np.float32))

    def take(self, order: np.ndarray) -> "Combination":
        """The sums `order` (int64 [n]) of these, in that order."""
        lengths = np.diff(self.start)[order]
        start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        entries = np.repeat(self.start[order] - start[:-1], lengths) + np.arange(start[-1])
        return Combination(start, self.source[entries], self.weight[entries])

    def apply(self, rows: torch.Tensor) -> torch.Tensor:
        """The sums `[N, D]` over `rows` `[V, D]`, added up in float32, in the dtype of `rows`."""
        source = self.source
        if rows.dtype != torch.float32:  # only the rows that count are turned into float32
            used, source = np.unique(self.source, return_inverse=True)
            rows_read = rows[torch.from_numpy(used)].float()
        else:
            rows_read = rows
        sums = torch.nn.functional.embedding_bag(
            torch.from_numpy(source.reshape(-1)),
            rows_read,
            torch.from_numpy(self.start[:-1]),
            mode="sum",
            per_sample_weights=torch.from_numpy(self.weight),
        )
        return sums.to(rows.dtype)


Make = Callable[[torch.Tensor], torch.Tensor]  # source rows [V, D] -> new rows [n, D], in their dtype


def new_rows(how: Combination | Make, rows: torch.Tensor) -> torch.Tensor:
    """The n rows `[n, D]` that a sum or a function makes of source rows `[V, D]`, in their dtype."""
    return how.apply(rows) if isinstance(how, Combination) else how(rows)


@dataclass(frozen=True)
class Gap:
    """What a filling method is asked for: rows of the N target tokens `ids` (int64 [N]).

    `shared_source` and `shared_target` (int64 [O]) are the ids of the ordinary tokens that both vocabularies have,
    pair by pair: the overlap. `spaces` are further matrices by name (`donor`, ...), `texts` are of the target's
    language. Whatever is random comes from `generator`.
    """

    source: EmbeddingMatrix
    target: Tokenizer
    ids: np.ndarray
    shared_source: np.ndarray
    shared_target: np.ndarray
    texts: Sequence[str]
    spaces: Mapping[str, EmbeddingMatrix]
    generator: torch.Generator

    @cached_property
    def tokens(self) -> list[Token]:
        """The N tokens."""
        return [self.target.vocabulary[i] for i in self.ids]

    def space(self, name: str) -> EmbeddingMatrix:
        """The further matrix of that name; `ValueError` if it was not given."""
        if name not in self.spaces:
            raise ValueError(
                f"this transplant needs a further matrix {name!r}: give one as source@transplant.spaces.{name}=hf "
                f"transplant.spaces.{name}.name=..., or any other option of conf/source"
            )
        return self.spaces[name]

    def need_texts(self, what: str) -> Sequence[str]:
        """The texts; `ValueError` if there are none. `what` names who needs them."""
        if not self.texts:
            raise ValueError(
                f"{what} learns from texts of the target language, and there are none: give data=text data.path=..., "
                "or a data set"
            )
        return self.texts


@dataclass(frozen=True)
class Filled:
    """The tokens that a method serves and how their n rows are made.

    `done` bool [N] over the tokens that were asked for, n of them true. `rows` is a weighted sum of source rows, or a
    function that makes the rows out of the source's; `output` the same for the output rows of an untied head, None
    where they are made as `rows` are. `made_of` tells provenance the weighted sums behind a function, where there are
    any. `notes` are figures for the summary, by plain values.
    """

    tier: str
    done: np.ndarray
    rows: Combination | Make
    output: Combination | Make | None = None
    made_of: Combination | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


class FillingMethod(Protocol):
    """A step of the `fill` list in `conf/transplant/*.yaml`."""

    def __call__(self, gap: Gap) -> Filled: ...


def everything(gap: Gap) -> np.ndarray:
    """Bool [N], all true: for methods that decline nothing."""
    return np.ones(len(gap.ids), dtype=bool)
