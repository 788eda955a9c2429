"""A split of any kind of labels to token ids."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lexigraft.data.encoded import Encoded
from lexigraft.data.labels import read_units
from lexigraft.data.text_data import Label, Split
from lexigraft.vocab.pairs import encode_pairs
from lexigraft.vocab.tokenizer import Tokenizer
from lexigraft.vocab.units import encode_units, running_text


def encode_split(tokenizer: Tokenizer, split: Split, kind: str = "class", max_tokens: int | None = None) -> Encoded:
    """Token ids of a split's texts, of its pairs, or, for tags, of its units; cut to `max_tokens`."""
    if kind == "tags":
        ids, units = encode_units(tokenizer, [_units(text) for text in split.texts], max_tokens)
        return replace(Encoded.of(ids), units=_flat(units, np.int32))
    if split.second is not None:
        ids, types = encode_pairs(tokenizer, split.texts, split.second, max_tokens)
        return replace(Encoded.of(ids), types=_flat(types, np.uint8))
    return Encoded.of(tokenizer.encode(split.texts, max_tokens))


def vocabulary_texts(split: Split, kind: str = "class") -> list[str]:
    """The texts that a vocabulary is made of: both of each pair, and units as they are written in running text."""
    if kind == "tags":
        return [running_text(_units(text)) for text in split.texts]
    return split.all_texts()


def lost_units(encoded: Encoded, split: Split) -> int:
    """How many units to be tagged have no token: those beyond `max_tokens`, and those that vanished."""
    if encoded.units is None:
        return 0
    return sum(len(_units(text)) for text in split.texts) - int((encoded.units >= 0).sum())


def unlabelled(lines: Sequence[str], kind: str, pairs: bool = False) -> Split:
    """Lines to predict as a split with labels that mean nothing; of pairs a line holds both texts, parted by a tab.

    `ValueError` names the line of a pair without its tab.
    """
    if pairs:
        halves = [line.split("\t") for line in lines]
        for line, parts in zip(lines, halves):
            if len(parts) != 2:
                raise ValueError(f"{line!r} is no pair of texts: write both in a line, with one tab between them")
        return Split([one for one, _ in halves], [_nothing(kind, 0)] * len(lines), [other for _, other in halves])
    if kind == "tags":
        lines = [read_units(line, "predict") for line in lines]
    return Split(list(lines), [_nothing(kind, len(_units(line))) for line in lines])


def _units(text: str) -> list[str]:
    return text.split(" ") if text else []


def _nothing(kind: str, units: int) -> Label:
    return (0,) * units if kind == "tags" else () if kind == "several" else 0


def _flat(rows: list[list[int]], kind: type) -> np.ndarray:
    return np.fromiter((value for row in rows for value in row), kind, sum(map(len, rows)))
