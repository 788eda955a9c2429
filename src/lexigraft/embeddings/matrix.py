"""A pretrained embedding matrix: one row per token of a vocabulary, and where it came from."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from lexigraft.vocab.tokenizer import Tokenizer
from lexigraft.vocab.vocabulary import UNUSED, Token, Vocabulary


@dataclass(frozen=True)
class EmbeddingMatrix:
    """Rows `[V, D]` of a vocabulary of V tokens.

    `output_rows` `[V, D]` and `output_bias` `[V]` are the language-model head's, where the checkpoint has one of its
    own; `tied` says that the head shares `rows`.
    `origin` says where the rows came from in plain values: name, path, sha256 of the rows, and the reader's counted
    repairs.
    `tokenizer` is the source's own, if it has one; `checkpoint` the local folder of the model that the rows are of;
    `compose` builds a row `[D]` for a surface outside the vocabulary (fastText's subword vectors), None if it cannot.
    """

    vocabulary: Vocabulary
    rows: torch.Tensor
    origin: dict[str, Any]
    output_rows: torch.Tensor | None = None
    output_bias: torch.Tensor | None = None
    tied: bool = False
    tokenizer: Tokenizer | None = None
    checkpoint: Path | None = None
    compose: Callable[[str], torch.Tensor | None] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.rows.ndim != 2 or len(self.rows) != len(self.vocabulary):
            raise ValueError(
                f"an embedding matrix of shape {tuple(self.rows.shape)} does not fit a vocabulary of "
                f"{len(self.vocabulary)} tokens: one row per token is expected"
            )

    @property
    def dim(self) -> int:
        """D, the width of a row."""
        return self.rows.shape[1]


def padded(vocabulary: Vocabulary, size: int) -> Vocabulary:
    """The vocabulary with `unused` tokens at its end, up to `size` tokens."""
    assert len(vocabulary) <= size
    return replace(vocabulary, tokens=vocabulary.tokens + (Token(b"", None, UNUSED),) * (size - len(vocabulary)))
