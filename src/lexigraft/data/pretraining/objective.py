"""What an objective makes of pieces of text: the tokens that a model reads, and those that it is to say."""

from typing import Protocol

import numpy as np

from lexigraft.data.encoded import Encoded
from lexigraft.vocab.vocabulary import Vocabulary


class Asked(Protocol):
    """A model's exercise: `(pieces, which, epoch) -> (ids, labels)`, both int64 `[n]`, for the n tokens of B pieces.

    `which` int64 `[B]` tells the pieces from others; the exercise of a piece depends on (seed, epoch, its number) and
    on nothing else of the batch. Without an epoch (None) it is that of an evaluation, the same for every seed. Labels
    are `NOT_COUNTED` where nothing is to be said.
    """

    def __call__(self, pieces: Encoded, which: np.ndarray, epoch: int | None) -> tuple[np.ndarray, np.ndarray]: ...


class Objective(Protocol):
    """The settings of an exercise; `words`: it wants to know which token begins a word."""

    @property
    def words(self) -> bool: ...

    def prepared(self, vocabulary: Vocabulary, seed: int) -> Asked:
        """The exercise in a vocabulary; `ValueError` where it lacks a token for it."""
        ...


def stands_for_text(vocabulary: Vocabulary) -> np.ndarray:
    """Bool `[V]`: ordinary tokens, and the unknown one, which stands for text that the vocabulary lacks."""
    found = vocabulary.ordinary.copy()
    if "unk" in vocabulary.roles:
        found[vocabulary.roles["unk"]] = True
    return found
