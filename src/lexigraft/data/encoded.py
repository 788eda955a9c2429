"""Token ids of many texts in flat arrays, which can lie in memory or in a mapped file."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Encoded:
    """Token ids of N texts end to end: text i is `ids[starts[i]:starts[i + 1]]`.

    `ids` int32 `[tokens]`, `starts` int64 `[N + 1]`. Of sentence pairs, `types` uint8 `[tokens]` is 0 in the first
    text and 1 in the second. Of texts in units (words to be tagged), `units` int32 `[tokens]` is the unit whose first
    token this is, and -1 elsewhere.
    """

    ids: np.ndarray
    starts: np.ndarray
    types: np.ndarray | None = None
    units: np.ndarray | None = None

    @classmethod
    def of(cls, texts: Sequence[Sequence[int]]) -> "Encoded":
        """The ids of each text, laid end to end."""
        starts = np.zeros(len(texts) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)), out=starts[1:])
        ids = np.fromiter((i for text in texts for i in text), np.int32, int(starts[-1]))
        return cls(ids, starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, text: int) -> np.ndarray:
        """The ids of one text."""
        return self.ids[self.starts[text] : self.starts[text + 1]]

    def lengths(self) -> np.ndarray:
        """Tokens per text, int64 `[N]`."""
        return np.diff(self.starts)

    def places(self, texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the tokens of some texts lie in the flat arrays, text after text, and the texts' lengths."""
        lengths = self.starts[texts + 1] - self.starts[texts]
        ends = np.cumsum(lengths)
        within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)
        return np.repeat(self.starts[texts], lengths) + within, lengths

    def take(self, texts: Sequence[int] | np.ndarray) -> "Encoded":
        """Some texts, in the given order."""
        chosen = np.asarray(texts, np.int64)
        flat, lengths = self.places(chosen)
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        types, units = (None if extra is None else extra[flat] for extra in (self.types, self.units))
        return Encoded(self.ids[flat], starts, types, units)

    def counts(self, vocabulary: int) -> np.ndarray:
        """How often each of so many tokens occurs, int64 `[vocabulary]`."""
        return np.bincount(self.ids, minlength=vocabulary)
