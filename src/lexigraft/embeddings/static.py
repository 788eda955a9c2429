"""Words and their vectors, whatever file they stood in, as an `EmbeddingMatrix`."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.embeddings.origin import origin, survey
from lexigraft.vocab.scripts import written_without_spaces
from lexigraft.vocab.vocabulary import Token, Vocabulary

# More rows with NaN or infinity than this share mean a broken file; fewer are dropped and counted.
MOST_NOT_FINITE = 0.01

_ROLES = {
    "unk": "unk",
    "oov": "unk",
    "unknown": "unk",
    "pad": "pad",
    "padding": "pad",
    "s": "bos",
    "bos": "bos",
    "/s": "eos",
    "eos": "eos",
    "cls": "cls",
    "sep": "sep",
    "mask": "mask",
}


def static_matrix(
    reader: str,
    path: str | Path,
    words: Sequence[bytes],
    rows: np.ndarray,
    name: str | None = None,
    roles: dict[str, str] | None = None,
    repairs: dict[str, int] | None = None,
    compose: Callable[[str], torch.Tensor | None] | None = None,
    normalize: Callable[[str], str] | None = None,
    **more: Any,
) -> EmbeddingMatrix:
    """The matrix of `words` and their `rows` `[V, D]`, repaired and counted.

    Tables call it `name`, or by the file's name.
    Dropped and counted in `origin["repairs"]`: words that are not UTF-8, empty words, repeated words (the first
    stays) and rows with NaN or infinity; `ValueError` where these are more than 1 %. float64 becomes float32.
    `roles` names special tokens beyond the usual spellings (`<unk>`, `[PAD]`, `</s>`, ...); `compose` and `normalize`
    are those of the matrix and of its vocabulary, which folds case by itself where no word has a capital.
    """
    assert len(words) == len(rows)
    if not np.issubdtype(rows.dtype, np.floating):
        raise ValueError(f"{path} holds rows of type {rows.dtype}: floating-point numbers are expected")
    if rows.dtype == np.float64:
        rows = rows.astype(np.float32)
    tensor = torch.from_numpy(np.require(rows, requirements=["C", "W"]))
    finite = torch.isfinite(torch.linalg.vector_norm(tensor, ord=float("inf"), dim=1)).numpy()
    bad = int((~finite).sum())
    if bad > MOST_NOT_FINITE * len(rows):
        first = words[int(np.argmin(finite))].decode(errors="replace")
        raise ValueError(
            f"{path} has {bad} of {len(rows)} rows with NaN or infinity (the first: {first!r}): the file is damaged"
        )
    kept: dict[str, int] = {}
    dropped = Counter(not_utf8=0, empty=0, duplicates=0, not_finite=0)
    for i, word in enumerate(words):
        try:
            text = word.decode()
        except UnicodeDecodeError:
            dropped["not_utf8"] += 1
            continue
        if not text:
            dropped["empty"] += 1
        elif text in kept:
            dropped["duplicates"] += 1
        elif not finite[i]:
            dropped["not_finite"] += 1
        else:
            kept[text] = i
    if not kept:
        raise ValueError(f"{path} holds no usable word: {dict(dropped)}")
    if normalize is None and not any(text != text.lower() for text in kept):
        normalize = str.lower  # GloVe 6B: the texts were put in lower case, so `The` is `the`
    if len(kept) < len(rows):
        tensor = tensor[list(kept.values())]
    return EmbeddingMatrix(
        vocabulary=Vocabulary(word_tokens(list(kept), roles or {}), normalize),
        rows=tensor,
        origin=origin(
            reader, name or Path(path).name, path, tensor, survey(tensor), {**dropped, **(repairs or {})}, **more
        ),
        compose=compose,
    )


def word_tokens(words: Sequence[str], roles: dict[str, str]) -> tuple[Token, ...]:
    """Tokens of distinct words, with the boundary that each one implies.

    A word starts a word. A single character does not tell (`starts_word` None, so that it matches any tokenizer's
    character) where its script writes no spaces (Han, kana, Thai), where it is no letter or digit (`,`), and
    everywhere in a character vocabulary: one of which more than half of the entries are single characters.
    """
    known = set(words)
    is_character_vocabulary = sum(len(w) == 1 for w in words) > len(words) / 2
    played: set[str] = set()
    tokens = []
    for word in words:
        role = roles.get(word) or _role(word, known)
        if role in played:
            role = f"special:{word}"
        surface = word.encode()
        starts_word: bool | None = True
        if role is not None:
            played.add(role)
            starts_word = None
        elif len(word) == 1 and (is_character_vocabulary or not word.isalnum() or written_without_spaces(surface)):
            starts_word = None
        tokens.append(Token(surface, starts_word, role))
    return tuple(tokens)


def _role(word: str, known: set[str]) -> str | None:
    """The role that a spelling implies. Bare `UNK`, `PAD` and `OOV` are words where their lower case is one too."""
    if len(word) > 2 and (word[0] + word[-1]) in ("<>", "[]"):
        return _ROLES.get(word[1:-1].lower())
    if word in ("UNK", "PAD", "OOV") and word.lower() not in known:
        return _ROLES[word.lower()]
    return None
