"""Rows made from the source's own pieces of a token's surface."""

import unicodedata
from collections import defaultdict
from typing import Literal

import numpy as np
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.transplant.filling import Combination, Filled, Gap
from lexigraft.vocab.vocabulary import Token, Vocabulary, first_ids

Weights = Literal["mean", "length", "exponential", "last_exponential", "first", "random"]

# A script with fewer source tokens than this has no typical norm of its own: that of all tokens is taken.
_ENOUGH = 20


def subtokens(
    gap: Gap, weights: Weights = "mean", output_weights: Weights | None = None, calibrate: bool = False
) -> Filled:
    """Weighted sums of the rows of the source pieces that spell a token; tokens that cannot be spelled are declined.

    Of a token with pieces 1..n, piece i weighs
    - `mean`: 1/n (Fast Vocabulary Transfer, Gee et al. 2022);
    - `length`: its share of the characters (WVT, Gee et al. 2022);
    - `exponential`: ~ exp(2i), `last_exponential`: ~ exp(-2i) (AdaptiVocab, Nakash et al. 2025, for input and output);
    - `first`: 1 for the first (EEVE, Kim et al. 2024, for output rows); `random`: 1 for one at random (PVT).

    `output_weights` are those of output rows, None: the same. `calibrate` gives input rows the norm that is typical
    (the median) of source tokens in the token's script (arXiv 2608.03494).

    The pieces are those of the source's tokenizer. Static vectors have none: fastText's subword vectors are used where
    the source holds them, and a word is spelled by its characters only if all of them are Chinese characters of the
    source, since the mean of Latin letters says nothing about a word.
    """
    if gap.source.compose is not None:
        return _subword_vectors(gap)
    pieces = _pieces(gap)
    done = np.fromiter((len(p) > 0 for p in pieces), bool, len(pieces))
    spelled = [p for p in pieces if p]
    sums = _weighted(gap, spelled, weights)
    output = None if output_weights in (None, weights) else _weighted(gap, spelled, output_weights)
    if not calibrate:
        return Filled("subtokens", done, sums, output)
    tokens = [token for token, served in zip(gap.tokens, done) if served]
    norms = _typical_norms(gap.source, tokens)
    return Filled(
        "subtokens",
        done,
        lambda rows: _with_norms(sums.apply(rows.float()), norms).to(rows.dtype),
        output or sums,
        made_of=sums,
    )


def _pieces(gap: Gap) -> list[list[int]]:
    source = gap.source.vocabulary
    if source.segment is not None:
        return source.segment_all(gap.tokens)
    characters = _characters(source)
    return [characters(t) for t in gap.tokens]


def _weighted(gap: Gap, pieces: list[list[int]], weights: Weights) -> Combination:
    equal = Combination.mean_of(pieces)
    lengths = np.diff(equal.start)
    position = np.arange(len(equal.source)) - np.repeat(equal.start[:-1], lengths)
    if weights == "mean":
        return equal
    if weights == "length":
        characters = np.array([_characters_of(t) for t in gap.source.vocabulary], np.float64)
        weight = characters[equal.source]
    elif weights == "exponential":
        weight = np.exp(2.0 * (position + 1 - np.repeat(lengths, lengths)))  # the last weighs 1: no overflow
    elif weights == "last_exponential":
        weight = np.exp(-2.0 * position)
    elif weights == "first":
        weight = (position == 0).astype(np.float64)
    elif weights == "random":
        drawn = torch.rand(len(lengths), generator=gap.generator, dtype=torch.float64).numpy()
        weight = (position == np.repeat((drawn * lengths).astype(np.int64), lengths)).astype(np.float64)
    else:
        raise ValueError(
            f"weights={weights!r} of subtokens is unknown: choose mean, length, exponential, last_exponential, first "
            "or random"
        )
    if not pieces:
        return equal
    weight = weight / np.repeat(np.add.reduceat(weight, equal.start[:-1]), lengths)
    kept = weight > 0
    per_token = np.add.reduceat(kept, equal.start[:-1], dtype=np.int64)
    start = np.concatenate([[0], np.cumsum(per_token)]).astype(np.int64)
    return Combination(start, equal.source[kept], weight[kept].astype(np.float32))


def _characters_of(token: Token) -> int:
    """Characters of a token, at least 1; a part of a character counts as one."""
    return max(1, len(token.surface.decode(errors="replace")))


def _typical_norms(source: EmbeddingMatrix, tokens: list[Token]) -> torch.Tensor:
    """The median norm `[n]` of the source's tokens in each token's script."""
    norms = source.rows.float().norm(dim=1).numpy()
    by_script: dict[str, list[int]] = defaultdict(list)
    for i, token in enumerate(source.vocabulary):
        if token.role is None and norms[i] > 0 and i not in source.vocabulary.unreachable:
            by_script[_script(token)].append(i)
    everywhere = np.median(norms[[i for ids in by_script.values() for i in ids]])
    typical = {s: np.median(norms[ids]) for s, ids in by_script.items() if len(ids) >= _ENOUGH}
    return torch.tensor([typical.get(_script(t), everywhere) for t in tokens], dtype=torch.float32)


def _script(token: Token) -> str:
    """The script of the first letter, as Unicode's names begin with it (LATIN, CJK, CYRILLIC); "" without a letter."""
    for character in token.surface.decode(errors="ignore"):
        if character.isalpha():
            return unicodedata.name(character, "").partition(" ")[0]
    return ""


def _with_norms(rows: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
    """Rows scaled to these norms; pieces that cancel each other out have no direction and stay as they are."""
    old = rows.norm(dim=1)
    factor = torch.where(old > 1e-6 * norms, norms / old.clamp(min=torch.finfo(torch.float32).tiny), 1.0)
    return rows * factor[:, None]


def _subword_vectors(gap: Gap) -> Filled:
    compose = gap.source.compose
    assert compose is not None
    composed = [compose(t.text) if t.text else None for t in gap.tokens]
    done = np.fromiter((row is not None for row in composed), bool, len(composed))
    made = [row for row in composed if row is not None]
    return Filled("subwords", done, lambda rows: torch.stack(made).to(rows.dtype))


class _characters:
    """Segments a surface into the single Chinese characters of a vocabulary without a tokenizer."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._ids = {surface: i for (surface, _), i in first_ids(vocabulary.tokens).items()}

    def __call__(self, token: Token) -> list[int]:
        text = token.text
        if not text or not all("\u3400" <= c <= "\u9fff" or "\U00020000" <= c <= "\U000323af" for c in text):
            return []
        ids = [self._ids.get(c.encode()) for c in text]
        return [i for i in ids if i is not None] if all(i is not None for i in ids) else []
