"""Rows made from the source's own pieces of a token's surface."""

from collections.abc import Sequence

import numpy as np
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.transplant.filling import Combination, Filled
from lexigraft.vocab.vocabulary import Token, Vocabulary, first_ids


def subtoken_mean(source: EmbeddingMatrix, tokens: Sequence[Token], generator: torch.Generator) -> Filled:
    """The mean of the rows of the source pieces that spell a token (Fast Vocabulary Transfer, Gee et al. 2022).

    The pieces are those of the source's tokenizer. Static vectors have none: fastText's subword vectors are used where
    the source holds them, and a word is spelled by its characters only if all of them are Chinese characters of the
    source, since the mean of Latin letters says nothing about a word. Tokens that cannot be spelled are declined.
    """
    if source.compose is not None:
        return _subword_vectors(source, tokens)
    segment = source.vocabulary.segment or _characters(source.vocabulary)
    pieces = [segment(t) if t.role is None else [] for t in tokens]
    done = np.fromiter((len(p) > 0 for p in pieces), bool, len(pieces))
    combination = Combination.mean_of([p for p in pieces if p])
    return Filled("subtokens", done, combination.apply, combination)


def _subword_vectors(source: EmbeddingMatrix, tokens: Sequence[Token]) -> Filled:
    assert source.compose is not None
    composed = [source.compose(t.surface.decode()) if _is_text(t) else None for t in tokens]
    done = np.fromiter((row is not None for row in composed), bool, len(composed))
    rows = [row for row in composed if row is not None]
    return Filled("subwords", done, lambda like: torch.stack(rows).to(like.dtype))


def _is_text(token: Token) -> bool:
    if token.role is not None or not token.surface:
        return False
    try:
        token.surface.decode()
    except UnicodeDecodeError:
        return False
    return True


class _characters:
    """Segments a surface into the single Chinese characters of a vocabulary without a tokenizer."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._ids = {surface: i for (surface, _), i in first_ids(vocabulary.tokens).items()}

    def __call__(self, token: Token) -> list[int]:
        if not _is_text(token):
            return []
        text = token.surface.decode()
        if not all("\u3400" <= c <= "\u9fff" or "\U00020000" <= c <= "\U000323af" for c in text):
            return []
        ids = [self._ids.get(c.encode()) for c in text]
        return [i for i in ids if i is not None] if all(i is not None for i in ids) else []
