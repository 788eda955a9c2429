"""The next token of every place."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lexigraft.data.batches import NOT_COUNTED
from lexigraft.data.encoded import Encoded
from lexigraft.data.pretraining.objective import stands_for_text
from lexigraft.vocab.vocabulary import Vocabulary


@dataclass(frozen=True)
class Causal:
    """Each token is said from those before it in its piece; the first of a piece is never asked for.

    Training asks for the special tokens that close a piece too; an evaluation asks for text alone.
    """

    words: ClassVar[bool] = False

    def prepared(self, vocabulary: Vocabulary, seed: int) -> "Next":
        """With the tokens that stand for text; the seed decides nothing."""
        return Next(stands_for_text(vocabulary))


@dataclass(frozen=True)
class Next:
    """`Causal` in a vocabulary; `text` bool `[V]`."""

    text: np.ndarray

    def __call__(self, pieces: Encoded, which: np.ndarray, epoch: int | None) -> tuple[np.ndarray, np.ndarray]:
        """The ids as they are, and the id that follows each in its piece."""
        ids = pieces.ids.astype(np.int64)
        labels = np.append(ids[1:], NOT_COUNTED)
        labels[pieces.starts[1:] - 1] = NOT_COUNTED
        if epoch is None:
            labels[~self.text[np.maximum(labels, 0)]] = NOT_COUNTED
        return ids, labels
