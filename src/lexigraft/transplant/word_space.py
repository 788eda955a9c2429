"""Where a tokenizer's tokens lie in a space of words."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.sparse import csr_matrix

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.transplant import neighbours
from lexigraft.vocab.tokenizer import Tokenizer
from lexigraft.vocab.vocabulary import Token, Vocabulary

_WORDS_AT_A_TIME = 10_000


def token_vectors(
    space: EmbeddingMatrix, vocabulary: Vocabulary, tokenizer: Tokenizer | None, ids: np.ndarray
) -> torch.Tensor:
    """Vectors float32 `[n, D]` of the tokens `ids` in a space of words `[W, D]`; zero where it says nothing of one.

    The space's subword vector of the surface where it composes them (a fastText .bin). Else the mean of the words in
    whose tokens the token is, alone or after a space, weighted by 1/rank as their frequencies are about (Zipf). A
    vocabulary without a tokenizer is one of words: each has the vector of the same word. Special tokens have none.
    """
    tokens = [vocabulary[i] for i in ids]
    if space.compose is not None:
        return _composed(space, tokens)
    if tokenizer is None:
        return _looked_up(space, tokens)
    place = np.full(len(vocabulary), -1, np.int64)
    place[[i for i, token in zip(ids, tokens) if token.role is None]] = np.flatnonzero([t.role is None for t in tokens])
    return _mean_of_words(space, tokenizer, place, len(tokens))


def _composed(space: EmbeddingMatrix, tokens: Sequence[Token]) -> torch.Tensor:
    assert space.compose is not None
    made = torch.zeros(len(tokens), space.dim)
    for i, token in enumerate(tokens):
        text = token.text.strip()
        vector = space.compose(text) if text else None
        if vector is not None:
            made[i] = vector.float()
    return made


def _looked_up(space: EmbeddingMatrix, tokens: Sequence[Token]) -> torch.Tensor:
    rank = words_of(space)
    found = [rank.get(t.surface.decode(errors="replace"), -1) if t.role is None else -1 for t in tokens]
    made = torch.zeros(len(tokens), space.dim)
    has = torch.tensor(found) >= 0
    made[has] = space.rows[torch.tensor(found)[has]].float()
    return made


def _mean_of_words(space: EmbeddingMatrix, tokenizer: Tokenizer, place: np.ndarray, count: int) -> torch.Tensor:
    """Of the `count` tokens whose `place` [V] is not -1, in that order."""
    words = words_of(space)
    owners, members = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    texts, rows = list(words), np.fromiter(words.values(), np.int64, len(words))
    for begin in range(0, len(texts), _WORDS_AT_A_TIME):
        part = texts[begin : begin + _WORDS_AT_A_TIME]
        bare, spaced = tokenizer.encode(part), tokenizer.encode([" " + word for word in part])
        inside = [list({*one, *other}) for one, other in zip(bare, spaced)]
        owner = place[np.fromiter((i for ids in inside for i in ids), np.int64)]
        member = np.repeat(np.arange(begin, begin + len(part)), [len(ids) for ids in inside])
        owners.append(owner[owner >= 0])
        members.append(member[owner >= 0])
    owner, member = np.concatenate(owners), np.concatenate(members)
    weight = 1.0 / (1 + rows[member])
    total = np.bincount(owner, weight, minlength=count)
    share = csr_matrix(
        ((weight / total[owner]).astype(np.float32), (owner, rows[member])), (count, len(space.vocabulary))
    )
    # A product of its own order: neither threads nor hash seeds change it. Rows that are no vectors are not touched.
    share.sort_indices()
    return torch.from_numpy(share @ space.rows.float().numpy())


def words_of(space: EmbeddingMatrix) -> dict[str, int]:
    """Word -> row number, for ordinary words whose row is a vector."""
    usable = neighbours.vectors(space.rows)[0].tolist()
    words: dict[str, int] = {}
    for i in usable:
        text = space.vocabulary[i].text
        if text:
            words.setdefault(text, i)
    return words
