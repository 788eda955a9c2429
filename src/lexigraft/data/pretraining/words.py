"""Documents to token ids, and which token begins which word: what whole-word masking covers as one."""

import importlib.metadata
import logging
import re
import sys
from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np

from lexigraft.cache import cache_folder
from lexigraft.data.encoded import Encoded
from lexigraft.data.encoding_cache import SMALL, entry_of, kept, settings_of
from lexigraft.data.text_data import Split
from lexigraft.vocab.tokenizer import Tokenizer, jieba_words

CHUNK = 2_000  # documents whose offsets are held at a time
CUT_BY_JIEBA = ("zh",)
_WORD = re.compile(r"\w+|[^\w\s]")


def encoded_documents(tokenizer: Tokenizer, documents: Sequence[str], language: str, words: bool = True) -> Encoded:
    """Token ids of whole documents, without special tokens around them, from the cache where it has them.

    With `words`, `units` tells the word whose first token each is, -1 elsewhere. Words are those of the text, whatever
    the tokenizer: jieba's in Chinese, else runs of letters and digits, and each further mark. A token that reaches over
    several words makes one of them.
    """
    if sum(map(len, documents)) < SMALL:
        return _encoded(tokenizer, documents, language, words)
    how = f"documents, words {_cutter(language)}" if words else "documents"
    split = Split(list(documents), [0] * len(documents))
    stem = cache_folder() / "encoded" / entry_of(split, settings_of(tokenizer, how, None))
    names = ["ids", "units", "starts"] if words else ["ids", "starts"]
    found, obstacle = kept(stem, len(documents), names, lambda: _encoded(tokenizer, documents, language, words))
    if obstacle:
        print(f"note: token ids are not kept for later runs: {obstacle}", file=sys.stderr)
    return found


def _cutter(language: str) -> str:
    return f"jieba {importlib.metadata.version('jieba')}" if language in CUT_BY_JIEBA else _WORD.pattern


def _encoded(tokenizer: Tokenizer, documents: Sequence[str], language: str, words: bool) -> Encoded:
    backend = tokenizer.working_copy
    backend.no_truncation()
    ids: list[np.ndarray] = []
    units: list[np.ndarray] = []
    lengths: list[int] = []
    for begin in range(0, len(documents), CHUNK):
        chunk = documents[begin : begin + CHUNK]
        segmented = tokenizer.segmenter == "jieba"
        inputs = [jieba_words(text) for text in chunk] if segmented else list(chunk)
        try:
            found = backend.encode_batch(inputs, is_pretokenized=segmented, add_special_tokens=False)
        except Exception as error:  # the library raises nothing narrower
            raise ValueError(f"this tokenizer cannot encode the documents, choose another: {error}") from error
        each = [encoding.ids for encoding in found]
        lengths += map(len, each)
        ids.append(_flat(each, np.int32))
        if not words:
            continue
        if segmented:
            numbers = _flat([encoding.word_ids for encoding in found], np.int64)
            units.append(_begins(numbers, numbers, list(map(len, each))))
        else:
            spans = _flat([chain.from_iterable(encoding.offsets) for encoding in found], np.int64).reshape(-1, 2)
            units.append(_words(spans, list(map(len, each)), chunk, language))
    starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
    together = np.concatenate([np.empty(0, np.int32), *ids])
    return Encoded(together, starts, units=np.concatenate([np.empty(0, np.int32), *units]) if words else None)


def _words(spans: np.ndarray, lengths: list[int], texts: Sequence[str], language: str) -> np.ndarray:
    """The word that each token begins, from where tokens lie in their text, int64 `[n, 2]`."""
    sizes = np.fromiter(map(len, texts), np.int64, len(texts))
    texts_begin = np.cumsum(sizes) - sizes
    found = [_spans(text, language) for text in texts]
    counts = np.fromiter(map(len, found), np.int64, len(texts))
    words = _flat([chain.from_iterable(of) for of in found], np.int64).reshape(-1, 2)
    words += np.repeat(texts_begin, counts)[:, None]
    spans = spans + np.repeat(texts_begin, lengths)[:, None]
    # A token may begin or end with white space, which is of no word.
    first = np.searchsorted(words[:, 1], spans[:, 0], "right")
    last = np.searchsorted(words[:, 0], spans[:, 1] - 1, "right") - 1
    return _begins(first, np.maximum(first, last), lengths)


def _begins(first: np.ndarray, last: np.ndarray, lengths: list[int]) -> np.ndarray:
    """The number of the word that each token begins, -1 where it goes on with one; from the words it reaches over."""
    starts = np.cumsum(lengths) - lengths
    begins = np.diff(last, prepend=-1) != 0
    begins[1:] = first[1:] != last[:-1]
    begins[[start for start, length in zip(starts, lengths) if length]] = True
    number = np.cumsum(begins) - 1
    at_start = np.repeat([number[s] if n else 0 for s, n in zip(starts, lengths)], lengths)
    return np.where(begins, number - at_start, -1).astype(np.int32)


def _spans(text: str, language: str) -> list[tuple[int, int]]:
    """Where the words of a text begin and end."""
    if language not in CUT_BY_JIEBA:
        return [match.span() for match in _WORD.finditer(text)]
    import jieba

    jieba.setLogLevel(logging.WARNING)  # it announces the loading of its dictionary otherwise
    found, end = [], 0
    for word in jieba.cut(text):
        begin, end = end, end + len(word)
        if not word.isspace():
            found.append((begin, end))
    return found


def _flat(rows: Sequence[Iterable[int | None]], kind: type) -> np.ndarray:
    return np.fromiter(chain.from_iterable(rows), kind)
