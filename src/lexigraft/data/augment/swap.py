"""Neighbouring tokens exchanged at random."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from lexigraft.data.augment.augmentation import Change, Tokens, check_probability
from lexigraft.data.augment.draws import Draws
from lexigraft.vocab.vocabulary import Vocabulary


@dataclass(frozen=True)
class Swap(Change):
    """Each two neighbouring tokens change places with `probability`; of pairs that overlap, that of the lower draw.

    So no token moves by more than one place (Wei & Zou 2019 exchange any two words of a text).
    """

    probability: float = 0.1
    share: float = 1.0
    keeps_tags: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_probability("swap", self.probability, self.share)

    def prepared(self, vocabulary: Vocabulary, rows: torch.Tensor, used: np.ndarray) -> "Swap":
        """Itself."""
        return self

    def change(self, tokens: Tokens, draws: Draws) -> tuple[np.ndarray, np.ndarray | None]:
        """The ids in their new order; all tokens stay."""
        if len(tokens.ids) < 2:
            return tokens.ids, None
        # Of each token, the draw of the pair that it makes with the next one; 2 where there is no such pair.
        draw = draws.uniform(tokens.texts, tokens.places)
        pair = np.append(np.diff(tokens.segments()) == 0, False)
        draw[~(pair & tokens.movable & np.append(tokens.movable[1:], False))] = 2.0
        lower_than_before = draw < np.append(2.0, draw[:-1])
        lower_than_after = draw <= np.append(draw[1:], 2.0)
        first = np.flatnonzero((draw < self.probability) & lower_than_before & lower_than_after)
        ids = tokens.ids.copy()
        ids[first], ids[first + 1] = tokens.ids[first + 1], tokens.ids[first]
        return ids, None
