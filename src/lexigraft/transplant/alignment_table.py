"""Tables of which word is translated by which, and what they say about tokens."""

from pathlib import Path

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from lexigraft.transplant.columns import read_columns
from lexigraft.vocab.vocabulary import Token, Vocabulary, first_ids


def read_table(path: str | Path, min_count: float = 0.0) -> dict[tuple[str, str], float]:
    """(source word, target word) -> count, of a text file of lines `source word<TAB>target word<TAB>count`.

    UTF-8, .gz is unpacked, no header; counts may be probabilities, counts of a repeated pair are added up. Pairs that
    count less than `min_count` are left out. `ValueError` names the line that is no such triple, and says where nothing
    is left.
    """
    table: dict[tuple[str, str], float] = {}
    for number, fields in read_columns(path, "an alignment table"):
        if len(fields) != 3 or not fields[0] or not fields[1]:
            raise ValueError(
                f"line {number} of {path} is {'<TAB>'.join(fields)!r}: a source word, a target word and a count are "
                f"expected, with tabs between them"
            )
        table[fields[0], fields[1]] = table.get((fields[0], fields[1]), 0.0) + _count(path, number, fields[2])
    kept = {pair: count for pair, count in table.items() if count >= min_count}
    if not kept:
        raise ValueError(
            f"{path} has {len(table)} pairs of words, none of which counts {min_count:g} or more: give a table of more "
            f"text, or set a lower min_count (0 for a table of probabilities)"
        )
    return kept


def token_counts(
    table: dict[tuple[str, str], float], source: Vocabulary, target: Vocabulary, positional: float
) -> csr_matrix:
    """How often target tokens are translated by source tokens, float64 `[T, V]`, out of counts of words.

    In a pair of words of n source and m target tokens, each target token has the whole count. The share `positional`
    goes to the source tokens at the same place (token i of m covers i/m to (i + 1)/m of its word), the rest in equal
    parts to all n. Words that a vocabulary cannot spell are left out.
    """
    spell_source, spell_target = _Spelling(source), _Spelling(target)
    rows: list[np.ndarray] = []
    columns: list[np.ndarray] = []
    values: list[np.ndarray] = []
    for (source_word, target_word), count in table.items():
        ours, theirs = spell_target(target_word), spell_source(source_word)
        if len(ours) and len(theirs):
            share = (1 - positional) / len(theirs) + positional * _overlaps(len(ours), len(theirs))
            rows.append(np.repeat(ours, len(theirs)))
            columns.append(np.tile(theirs, len(ours)))
            values.append((count * share).reshape(-1))
    shape = (len(target), len(source))
    if not rows:
        return csr_matrix(shape)
    counts = coo_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape).tocsr()
    counts.eliminate_zeros()
    return counts


def _overlaps(m: int, n: int) -> np.ndarray:
    """[m, n]: which share of the i-th of m equal parts of a line lies in the j-th of n."""
    i, j = np.arange(m)[:, None], np.arange(n)[None]
    return m * np.clip(np.minimum((i + 1) / m, (j + 1) / n) - np.maximum(i / m, j / n), 0, None)


def _count(path: str | Path, number: int, field: str) -> float:
    try:
        count = float(field)
    except ValueError:
        count = float("nan")
    if not 0 <= count < float("inf"):
        raise ValueError(f"line {number} of {path} has the count {field!r}: a number, 0 or more, is expected")
    return count


class _Spelling:
    """Callable: a word -> its token ids, int64; empty where the vocabulary cannot spell it."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._known: dict[str, np.ndarray] = {}
        self._whole = (
            {surface: i for (surface, _), i in first_ids(vocabulary.tokens).items()}
            if vocabulary.segment is None
            else {}
        )

    def __call__(self, word: str) -> np.ndarray:
        if word not in self._known:
            self._known[word] = np.array(self._spell(word), np.int64)
        return self._known[word]

    def _spell(self, word: str) -> list[int]:
        if self._vocabulary.segment is not None:
            return self._vocabulary.segment(Token(word.encode(), True))
        folded = word if self._vocabulary.normalize is None else self._vocabulary.normalize(word)
        found = self._whole.get(word.encode(), self._whole.get(folded.encode()))
        return [] if found is None else [found]
