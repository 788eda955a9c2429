"""Rows by how words are translated: RAMEN and trans-tokenization, from a table of word alignments."""

from bisect import bisect_left
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix, diags

from lexigraft.transplant.alignment_table import read_table, token_counts
from lexigraft.transplant.filling import Combination, Filled, Gap
from lexigraft.vocab.vocabulary import Token


def aligned(
    gap: Gap, table: str | Path, min_count: float = 10, positional: float = 0.5, inherit: bool = True
) -> Filled:
    """row(t) = sum over source tokens s of p(s | t) S[s], and so bias(t); p from counts of aligned words.

    `table` is a file of lines `source word<TAB>target word<TAB>count` (`read_table`); pairs that count less than
    `min_count` are left out. Trans-tokenization (Remy et al. 2024) gives half of a pair's count to the source tokens at
    the same place in the word (`positional`), the other half to all of them. RAMEN (Tran 2020) is the same sum without
    `min_count`, `positional` and `inherit`.

    With `inherit`, a token that the table does not reach takes the shared token's row if there is one, else the mean of
    p over the tokens which begin with it and the longest ones inside it, as far as the table reaches those. All others
    and special tokens are declined. `ValueError` names a line of the table that is malformed, or says that the table
    reaches no token.
    """
    if not 0 <= positional <= 1:
        raise ValueError(f"positional={positional} is a share of the counts: a number from 0 to 1 is expected")
    vocabulary = gap.target.vocabulary
    counts = token_counts(read_table(table, min_count), gap.source.vocabulary, vocabulary, positional)
    if counts.nnz == 0:
        raise ValueError(
            f"no pair of words of {table} can be spelled by both vocabularies: is the source's language in the first "
            f"column, and the target's in the second?"
        )
    translated = _shares(counts)
    reached = np.diff(translated.indptr) > 0
    ordinary = vocabulary.ordinary
    notes = {"tokens in the table": int((reached & ordinary)[gap.ids].sum())}
    if inherit:
        translated = translated + _shared(gap, translated.shape, ~reached)
        known = np.diff(translated.indptr) > 0
        wanting = gap.ids[(ordinary & ~known)[gap.ids]]
        translated = translated + _shares(_relatives(vocabulary.tokens, known & ordinary, wanting) @ translated)
        notes["tokens that inherit"] = int((ordinary & ~reached & (np.diff(translated.indptr) > 0))[gap.ids].sum())
    done = (ordinary & (np.diff(translated.indptr) > 0))[gap.ids]
    notes["tokens declined"] = int((~done).sum())
    part = translated[gap.ids[done]]
    part.sort_indices()
    rows = Combination(part.indptr.astype(np.int64), part.indices.astype(np.int64), part.data.astype(np.float32))
    return Filled("aligned", done, rows, notes=notes)


def _shares(counts: csr_matrix) -> csr_matrix:
    """Rows that add up to 1; empty ones stay empty."""
    total = np.asarray(counts.sum(1)).ravel()
    return csr_matrix(diags(np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)) @ counts)


def _shared(gap: Gap, shape: tuple[int, int], wanting: np.ndarray) -> csr_matrix:
    """1 where a `wanting` token (bool [T]) is a token that the source has too."""
    which = wanting[gap.shared_target]
    ours, theirs = gap.shared_target[which], gap.shared_source[which]
    return csr_matrix((np.ones(len(ours)), (ours, theirs)), shape)


def _relatives(tokens: tuple[Token, ...], known: np.ndarray, wanting: np.ndarray) -> csr_matrix:
    """1 at [t, u] where the known token u begins with the wanting token t, or is one of the longest inside it."""
    keys = {_key(tokens[i]): i for i in np.flatnonzero(known).tolist()[::-1]}
    keys.pop(b"", None)
    keys.pop(b" ", None)
    ordered = sorted(keys)
    pairs: list[tuple[int, int]] = []
    for i in wanting.tolist():
        key = _key(tokens[i])
        if not key.strip(b" "):
            continue
        place = bisect_left(ordered, key)
        while place < len(ordered) and ordered[place].startswith(key):
            pairs.append((i, keys[ordered[place]]))
            place += 1
        pairs += [(i, keys[part]) for part in _longest_inside(key, keys)]
    at = np.array(pairs, np.int64).reshape(-1, 2)
    return csr_matrix((np.ones(len(at)), (at[:, 0], at[:, 1])), (len(tokens), len(tokens)))


def _longest_inside(text: bytes, known: dict[bytes, int]) -> list[bytes]:
    """The known parts of a text (not the whole) that are in no longer one."""
    kept: list[bytes] = []
    for length in range(len(text) - 1, 0, -1):
        for begin in range(len(text) - length + 1):
            part = text[begin : begin + length]
            if part in known and not any(part in longer for longer in kept):
                kept.append(part)
    return kept


def _key(token: Token) -> bytes:
    """The surface, a space before it where it starts a word."""
    return b" " + token.surface if token.starts_word else token.surface
