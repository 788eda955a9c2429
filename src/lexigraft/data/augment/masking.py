"""Tokens replaced by the unknown or the mask token at random."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch

from lexigraft.data.augment.augmentation import Change, Tokens, check_probability
from lexigraft.data.augment.draws import Draws
from lexigraft.vocab.vocabulary import Vocabulary


@dataclass(frozen=True)
class Masking:
    """Each token becomes the special one of role `by` with `probability` (word dropout, Iyyer et al. 2015)."""

    probability: float = 0.1
    by: Literal["unk", "mask"] = "unk"
    share: float = 1.0
    keeps_tags: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_probability("masking", self.probability, self.share)

    def prepared(self, vocabulary: Vocabulary, rows: torch.Tensor, used: np.ndarray) -> "Masked":
        """With the id of its token; `ValueError` where the vocabulary has none of that role."""
        token = vocabulary.roles.get(self.by)
        if token is None:
            raise ValueError(
                f"augment.masking.by is {self.by}, but this tokenizer has no such token; its special tokens are: "
                f"{', '.join(vocabulary.roles)}"
            )
        return Masked(self.probability, token)


@dataclass(frozen=True)
class Masked(Change):
    """`Masking` with the id of its token."""

    probability: float
    token: int

    def introduces(self) -> np.ndarray:
        """The special token."""
        return np.array([self.token], np.int64)

    def change(self, tokens: Tokens, draws: Draws) -> tuple[np.ndarray, np.ndarray | None]:
        """The ids with some replaced; all tokens stay."""
        masked = tokens.movable & (draws.uniform(tokens.texts, tokens.places) < self.probability)
        return np.where(masked, np.asarray(self.token, tokens.ids.dtype), tokens.ids), None
