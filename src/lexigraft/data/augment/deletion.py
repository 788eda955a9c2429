"""Tokens left out at random."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from lexigraft.data.augment.augmentation import Change, Tokens, check_probability
from lexigraft.data.augment.draws import Draws
from lexigraft.vocab.vocabulary import Vocabulary


@dataclass(frozen=True)
class Deletion(Change):
    """Each token is left out with `probability` (Wei & Zou 2019, random deletion).

    Where none would be left of a text, the token with the highest draw stays.
    """

    probability: float = 0.1
    share: float = 1.0
    keeps_tags: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_probability("deletion", self.probability, self.share)

    def prepared(self, vocabulary: Vocabulary, rows: torch.Tensor, used: np.ndarray) -> "Deletion":
        """Itself."""
        return self

    def change(self, tokens: Tokens, draws: Draws) -> tuple[np.ndarray, np.ndarray | None]:
        """The ids as they are, and which tokens stay."""
        draw = draws.uniform(tokens.texts, tokens.places)
        stays = ~tokens.movable | (draw >= self.probability)
        emptied = (tokens.per_segment(tokens.movable) > 0) & (tokens.per_segment(stays & tokens.movable) == 0)
        if emptied.any():
            # By segment, then by draw: the last movable token of a segment is that with the highest draw.
            order = np.lexsort((np.where(tokens.movable, draw, -1.0), tokens.segments()))
            stays[order[tokens.starts[1:][emptied] - 1]] = True
        return tokens.ids, stays
