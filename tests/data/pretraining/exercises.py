"""A vocabulary and pieces of text for the tests of exercises."""

import numpy as np

from lexigraft.data.encoded import Encoded
from lexigraft.vocab.vocabulary import Vocabulary

SPECIAL = {"[PAD]": "pad", "[UNK]": "unk", "[CLS]": "cls", "[SEP]": "sep", "[MASK]": "mask"}
PAD, UNK, CLS, SEP, MASK = range(5)
SIZE = 105


def vocabulary(*, without: str = "") -> Vocabulary:
    """Five special tokens, then a hundred ordinary ones."""
    special = {token: role for token, role in SPECIAL.items() if token != without}
    return Vocabulary.of_words([*special, *(f"w{i}" for i in range(SIZE - len(special)))], special)


def pieces(count: int, longest: int, seed: int = 0) -> Encoded:
    """Pieces of words of one to three tokens, [CLS] before and [SEP] after; every twentieth token is unknown."""
    random = np.random.default_rng(seed)
    ids, units, lengths = [], [], []
    for length in random.integers(1, longest, count):
        words = np.repeat(np.arange(length), random.integers(1, 4, length))[:length]
        begins = np.diff(words, prepend=-1) > 0
        text = np.where(random.random(length) < 0.05, UNK, random.integers(5, SIZE, length))
        ids.append([CLS, *text, SEP])
        units.append([-1, *np.where(begins, words, -1), -1])
        lengths.append(length + 2)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Encoded(np.concatenate(ids).astype(np.int32), starts, units=np.concatenate(units).astype(np.int32))
