"""Texts as one array of token ids."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lexigraft.vocab.tokenizer import Tokenizer

_TEXTS_AT_A_TIME = 1000


@dataclass(frozen=True, eq=False)
class Corpus:
    """Tokenised texts, special tokens left out: text i is `ids[start[i]:start[i + 1]]`.

    `ids` int32 [n], `start` int64 [texts + 1]; `counts` int64 [T] says how often each of the T tokens occurs.
    """

    ids: np.ndarray
    start: np.ndarray
    counts: np.ndarray

    def __iter__(self) -> Iterator[np.ndarray]:
        for begin, end in zip(self.start[:-1].tolist(), self.start[1:].tolist()):
            yield self.ids[begin:end]


def tokenised(tokenizer: Tokenizer, texts: Sequence[str]) -> Corpus:
    """The corpus of these texts, at four bytes a token."""
    ordinary = tokenizer.vocabulary.ordinary
    parts = [np.empty(0, np.int32)]
    lengths: list[int] = []
    for begin in range(0, len(texts), _TEXTS_AT_A_TIME):
        for encoded in tokenizer.encode(texts[begin : begin + _TEXTS_AT_A_TIME]):
            ids = np.array(encoded, np.int32)
            ids = ids[ordinary[ids]]
            parts.append(ids)
            lengths.append(len(ids))
    ids = np.concatenate(parts)
    start = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
    return Corpus(ids, start, np.bincount(ids, minlength=len(ordinary)))
