"""Tokens hidden at random, by whole words or in spans, for a model to say them."""

from dataclasses import dataclass

import numpy as np

from lexigraft.data.augment.draws import Draws
from lexigraft.data.batches import NOT_COUNTED
from lexigraft.data.encoded import Encoded
from lexigraft.vocab.vocabulary import Vocabulary

LONGEST_SPAN = 10
ENDS = 0.2  # the probability with which a span ends after each word: 3.8 words in the mean, none above the longest


@dataclass(frozen=True)
class Masking:
    """A `rate` of the tokens of each piece is to be said; special tokens never are.

    They are chosen by whole `words` or one by one, and in `spans` of neighbouring ones of geometrically distributed
    length (Joshi et al. 2020, SpanBERT). Of them `random` become any token, `keep` stay, and the others become the mask
    token (Devlin et al. 2019); in spans, all tokens of a span share that lot. `ValueError` for numbers that are no
    shares.
    """

    rate: float = 0.15
    words: bool = True
    spans: bool = False
    random: float = 0.1
    keep: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise ValueError(f"objective rate={self.rate} was given; a share between 0 and 1 is expected, such as 0.15")
        if self.random < 0 or self.keep < 0 or self.random + self.keep > 1:
            raise ValueError(
                f"objective random={self.random} and keep={self.keep} were given; two shares of 0 or more that add up "
                "to at most 1 are expected, such as 0.1 and 0.1"
            )

    def prepared(self, vocabulary: Vocabulary, seed: int) -> "Masked":
        """With the ids that it writes; `ValueError` where the vocabulary has no mask token."""
        if "mask" not in vocabulary.roles:
            raise ValueError(
                "this objective hides tokens, but the tokenizer has no mask token; its special tokens are: "
                f"{', '.join(vocabulary.roles) or 'none'}: choose another tokenizer, or objective=causal"
            )
        return Masked(self, vocabulary.roles["mask"], vocabulary.ordinary, seed)


@dataclass(frozen=True)
class Masked:
    """`Masking` in a vocabulary: the mask token, which tokens are ordinary, bool `[V]`, and the seed."""

    settings: Masking
    mask: int
    ordinary: np.ndarray
    seed: int

    def __call__(self, pieces: Encoded, which: np.ndarray, epoch: int | None) -> tuple[np.ndarray, np.ndarray]:
        """The ids with some replaced, and what stood there."""
        draws = Draws(0, 0, "masked dev") if epoch is None else Draws(self.seed, epoch, "masked")
        ids = pieces.ids.astype(np.int64)
        labels = np.full(len(ids), NOT_COUNTED, np.int64)
        tokens, units = self._units(pieces, which, draws)
        chosen = units.chosen(self.settings.rate, which, draws)[units.of_token]
        asked, lots = tokens[chosen], units.of_token[chosen]
        labels[asked] = ids[asked]
        rows = _rows(pieces)[asked]
        places = asked - pieces.starts[rows]
        lot = draws.uniform(which[rows], units.place[lots] if self.settings.spans else places, purpose=3)
        ids[asked[lot >= self.settings.random + self.settings.keep]] = self.mask
        at_random = lot < self.settings.random
        any_token = np.flatnonzero(self.ordinary)
        drawn = draws.uniform(which[rows[at_random]], places[at_random], purpose=4)
        ids[asked[at_random]] = any_token[(drawn * len(any_token)).astype(np.int64)]
        return ids, labels

    def _units(self, pieces: Encoded, which: np.ndarray, draws: Draws) -> tuple[np.ndarray, "_Units"]:
        """Where the tokens lie that may be hidden, and in which units they are."""
        movable = self.ordinary[pieces.ids]
        begins = movable.copy()
        if self.settings.words:
            assert pieces.units is not None
            # The first token after one that stays begins a unit too, also within a word.
            begins[1:] &= (pieces.units[1:] >= 0) | ~movable[:-1]
            begins[pieces.starts[:-1]] = movable[pieces.starts[:-1]]
        tokens = np.flatnonzero(movable)
        first = np.flatnonzero(begins)
        units = _Units.of(np.cumsum(begins[tokens]) - 1, _rows(pieces)[first], len(pieces))
        return tokens, units.in_spans(which, draws) if self.settings.spans else units


@dataclass(frozen=True)
class _Units:
    """What is hidden as a whole: U words, tokens or spans of B pieces.

    `of_token` int64 `[m]`, the unit of each token that may be hidden; and of each unit, int64 `[U]`, its `size` in
    tokens, the `row` of its piece and its `place` among the units of that; `first` int64 `[B]`, each piece's first one.
    """

    of_token: np.ndarray
    size: np.ndarray
    row: np.ndarray
    place: np.ndarray
    first: np.ndarray

    @classmethod
    def of(cls, of_token: np.ndarray, row: np.ndarray, rows: int) -> "_Units":
        count = np.bincount(row, minlength=rows)
        first = np.cumsum(count) - count
        return cls(of_token, np.bincount(of_token, minlength=len(row)), row, np.arange(len(row)) - first[row], first)

    def in_spans(self, which: np.ndarray, draws: Draws) -> "_Units":
        """The units of each piece cut into spans, one after the other, of lengths that are drawn."""
        drawn = draws.uniform(which[self.row], self.place, purpose=0)
        # The inverse of the distribution function of a geometric distribution that is cut off.
        length = np.ceil(np.log1p(-drawn * (1 - (1 - ENDS) ** LONGEST_SPAN)) / np.log(1 - ENDS))
        length = np.clip(length.astype(np.int64), 1, LONGEST_SPAN)
        begin = np.cumsum(length) - length
        begin -= begin[self.first[self.row]] if len(begin) else 0
        count = np.bincount(self.row, minlength=len(self.first))
        begins = np.zeros(len(self.row), bool)
        inside = begin < count[self.row]
        begins[(self.first[self.row] + begin)[inside]] = True
        return _Units.of((np.cumsum(begins) - 1)[self.of_token], self.row[begins], len(self.first))

    def chosen(self, rate: float, which: np.ndarray, draws: Draws) -> np.ndarray:
        """Bool `[U]`: units in an order drawn for each piece, until they hold `rate` of its tokens.

        The last of them, which would hold more, is in with the probability that makes the rate exact in the mean of any
        piece, however short. So a long one is chosen a little less often than a short one.
        """
        order = np.lexsort((draws.uniform(which[self.row], self.place, purpose=1), self.row))
        size, row = self.size[order], self.row[order]
        tokens = np.bincount(row, weights=size, minlength=len(which)).astype(np.int64)
        before = np.cumsum(size) - size - (np.cumsum(tokens) - tokens)[row]
        part = draws.uniform(which, 0, purpose=2)[row]
        found = np.zeros(len(size), bool)
        found[order] = before + part * size < rate * tokens[row]
        return found


def _rows(pieces: Encoded) -> np.ndarray:
    """Which piece, from 0, each token is of."""
    return np.repeat(np.arange(len(pieces)), pieces.lengths())
