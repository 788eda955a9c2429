"""Rows made from what all source rows have in common: zero, their mean, random with their norms."""

from collections.abc import Sequence

import numpy as np
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.transplant.filling import Filled
from lexigraft.vocab.vocabulary import UNUSED, Token


def zero(source: EmbeddingMatrix, tokens: Sequence[Token], generator: torch.Generator) -> Filled:
    """Zero rows for all N tokens."""
    return Filled("zero", _all(tokens), lambda rows: rows.new_zeros(len(tokens), rows.shape[1]))


def mean(source: EmbeddingMatrix, tokens: Sequence[Token], generator: torch.Generator) -> Filled:
    """The mean source row for all N tokens."""
    used = _used(source)
    return Filled(
        "mean",
        _all(tokens),
        lambda rows: rows[used].mean(0, dtype=torch.float32).to(rows.dtype).expand(len(tokens), -1),
    )


def normal(source: EmbeddingMatrix, tokens: Sequence[Token], generator: torch.Generator) -> Filled:
    """Random rows of matched norm for all N tokens: an isotropic direction times the norm of a random source row."""

    used = _used(source)

    def make(rows: torch.Tensor) -> torch.Tensor:
        norms = rows[used].float().norm(dim=1)
        norms = norms[norms > 0]
        if len(norms) == 0:
            raise ValueError("every source row is zero, so no norm can be drawn from it: check the source matrix")
        direction = torch.randn(len(tokens), rows.shape[1], generator=generator)
        direction /= direction.norm(dim=1, keepdim=True)
        chosen = torch.randint(len(norms), (len(tokens), 1), generator=generator)
        return (direction * norms[chosen]).to(rows.dtype)

    return Filled("normal", _all(tokens), make)


def _used(source: EmbeddingMatrix) -> torch.Tensor:
    """Bool [V]: rows that belong to a token, not to the padding of a vocabulary's size."""
    return torch.tensor([token.role != UNUSED for token in source.vocabulary])


def _all(tokens: Sequence[Token]) -> np.ndarray:
    return np.ones(len(tokens), dtype=bool)
