"""Snippets of text in which a new token occurs, in the source's pieces: found in texts, or written by the source."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tokenizers
import torch

from lexigraft.vocab.tokenizer import Tokenizer, jieba_words

_TEXTS_AT_ONCE = 1000


@dataclass(frozen=True, eq=False)
class Snippet:
    """Source ids int32 [T], special tokens apart, of which `ids[start:stop]` spell the new token."""

    ids: np.ndarray
    start: int
    stop: int


def found_snippets(
    source: Tokenizer,
    target: Tokenizer,
    wanted: np.ndarray,
    texts: Sequence[str],
    most: int,
    length: int,
    generator: torch.Generator,
) -> list[list[Snippet]]:
    """For each target token in `wanted` (int64 [N]) up to `most` snippets of at most `length` pieces, one from a text.

    A token occurs where the target's tokenizer finds it and the source's has a boundary on both sides. Texts are
    read in a random order, and only as many as are needed.
    """
    found: list[list[Snippet]] = [[] for _ in wanted]
    place = np.full(len(target.vocabulary), -1)
    place[wanted] = np.arange(len(wanted))
    new, old = _Reader(target), _Reader(source)
    order = torch.randperm(len(texts), generator=generator).tolist()
    for begin in range(0, len(order), _TEXTS_AT_ONCE):
        if not (place >= 0).any():
            break
        some = [texts[i] for i in order[begin : begin + _TEXTS_AT_ONCE]]
        hits = [_occurrences(text, *read, place) for text, read in zip(some, new.read(some))]
        holding = [(text, hit) for text, hit in zip(some, hits) if hit]
        for (text, hit), (ids, places) in zip(holding, old.read([text for text, _ in holding])):
            offsets = np.array(places(), dtype=np.int64).reshape(-1, 2)
            for k, (first, last) in hit.items():
                snippet = _cut_out(text, ids, offsets, first, last, length)
                if snippet is not None and len(found[k]) < most:
                    found[k].append(snippet)
                    if len(found[k]) == most:
                        place[wanted[k]] = -1
    return found


def written_snippets(
    body: Any,
    head: torch.Tensor,
    before: Sequence[int],
    pieces: Sequence[int],
    count: int,
    length: int,
    generator: torch.Generator,
) -> list[Snippet]:
    """`count` snippets of `length` tokens that a decoder writes when it is given a token's `pieces` as the beginning.

    Sampled from the softmax over `head` `[V, D]`, its output rows; `before` are the special tokens of a text's start.
    """
    ids = torch.tensor([[*before, *pieces]], device=head.device).expand(count, -1)
    text, past = [torch.tensor([pieces]).expand(count, -1)], None
    with torch.no_grad():
        for _ in range(length - len(pieces)):
            output = body(input_ids=ids, past_key_values=past, use_cache=True)
            past = output.past_key_values
            chances = (output.last_hidden_state[:, -1] @ head.T).softmax(-1)
            text.append(torch.multinomial(chances.cpu(), 1, generator=generator))
            ids = text[-1].to(head.device)
    rows = torch.cat(text, 1).numpy().astype(np.int32)
    return [Snippet(row, 0, len(pieces)) for row in rows]


class _Reader:
    """A tokenizer that tells where in a text its tokens stand, and adds no special ones."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._segmenter = tokenizer.segmenter
        self._backend = tokenizers.Tokenizer.from_str(tokenizer.backend.to_str())
        self._backend.no_truncation()
        self._backend.no_padding()

    def read(self, texts: Sequence[str]) -> Iterator[tuple[np.ndarray, Callable[[], list[tuple[int, int]]]]]:
        """For each text its ids int32 [T], and on demand where each begins and ends: that takes as long as they do."""
        cut = [jieba_words(text) for text in texts] if self._segmenter == "jieba" else None
        encodings = self._backend.encode_batch(cut or list(texts), cut is not None, add_special_tokens=False)
        for k, encoding in enumerate(encodings):
            words = None if cut is None else cut[k]
            yield np.array(encoding.ids, dtype=np.int32), partial(_places, texts[k], words, encoding)


def _places(text: str, words: Sequence[str] | None, encoding: Any) -> list[tuple[int, int]]:
    """Offsets in the text; those of an encoding of words are offsets in each word."""
    offsets: list[tuple[int, int]] = encoding.offsets
    if words is None:
        return offsets
    begins, end = [], 0
    for word in words:
        begins.append(text.index(word, end))
        end = begins[-1] + len(word)
    return [(begins[w] + a, begins[w] + b) for w, (a, b) in zip(encoding.word_ids, offsets)]


def _occurrences(
    text: str, ids: np.ndarray, places: Callable[[], list[tuple[int, int]]], place: np.ndarray
) -> dict[int, tuple[int, int]]:
    """Wanted token -> where it first stands in the text, without white space; white space alone has no place."""
    hits = np.flatnonzero(place[ids] >= 0)
    found: dict[int, tuple[int, int]] = {}
    offsets = places() if len(hits) else []
    for i in hits:
        start, end = offsets[i]
        while start < end and text[start].isspace():
            start += 1
        while start < end and text[end - 1].isspace():
            end -= 1
        if start < end:
            found.setdefault(int(place[ids[i]]), (start, end))
    return found


def _cut_out(text: str, ids: np.ndarray, offsets: np.ndarray, first: int, last: int, length: int) -> Snippet | None:
    """The pieces around the characters `first` to `last`; None where pieces do not begin and end just there."""
    starts, ends = offsets[:, 0], offsets[:, 1]
    start = int(np.searchsorted(ends, first, side="right"))
    stop = int(np.searchsorted(starts, last, side="left"))
    room = length - (stop - start)
    if start >= stop or room < 0:
        return None
    begin, end = starts[start], ends[stop - 1]
    if begin > first or end < last or text[begin:first].strip() or text[last:end].strip():
        return None
    after = min(len(ids) - stop, room - min(start, room // 2))
    before = min(start, room - after)
    return Snippet(ids[start - before : stop + after].copy(), before, before + stop - start)
