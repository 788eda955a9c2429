"""Byte-pair encoding of single tokens, to see which merges make them (Sennrich et al. 2016)."""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any


def merges_of_ranks(ranks: Mapping[str, int]) -> list[tuple[str, str]]:
    """The merges of a BPE vocabulary that is published as its entries' ranks alone (tiktoken, SentencePiece).

    There, any two neighbours are merged that are an entry together, the lowest rank first. That makes an entry out of
    the same two parts wherever it stands, so that one merge each is enough. An entry that is never made gets none.
    """
    merges = []
    for content, _ in sorted(ranks.items(), key=lambda entry: entry[1]):
        if len(content) > 1:
            parts = list(content)
            while len(parts) > 2:
                joined = (
                    (ranks[pair], i) for i, pair in enumerate(map(str.__add__, parts, parts[1:])) if pair in ranks
                )
                found = min(joined, default=None)
                if found is None:
                    break
                i = found[1]
                parts[i : i + 2] = [parts[i] + parts[i + 1]]
            if len(parts) == 2:
                merges.append((parts[0], parts[1]))
    return merges


class Merges:
    """The merges of a BPE model in the order of their priority; more can be appended, as those of lowest priority."""

    def __init__(self, model: dict[str, Any]) -> None:
        """`model` is the model of a backend's JSON."""
        self._prefix = model["continuing_subword_prefix"] or ""
        self._suffix = model["end_of_word_suffix"] or ""
        self._ranks = {(left, right): rank for rank, (left, right) in enumerate(model["merges"])}

    def symbols(self, content: str) -> list[str]:
        """The single characters, with the model's prefix or suffix, that an entry is merged from."""
        inside, last = self._prefix, self._suffix
        start = len(inside) if inside and content.startswith(inside) and content != inside else 0
        end = len(content) - len(last) if last and content.endswith(last) and content != last else len(content)
        symbols = [(inside if i or start else "") + character for i, character in enumerate(content[start:end])]
        if symbols and end < len(content):
            symbols[-1] += last
        return symbols

    def append(self, left: str, right: str) -> None:
        """Add a merge of lowest priority."""
        self._ranks.setdefault((left, right), len(self._ranks))

    def steps(self, symbols: Iterable[str]) -> tuple[list[str], list[str]]:
        """The pieces that are left of the symbols when nothing more can be merged, and every entry made on the way."""
        pieces, made = list(symbols), []
        while len(pieces) > 1:
            ranked = [(self._ranks[pair], i) for i, pair in enumerate(pairwise(pieces)) if pair in self._ranks]
            if not ranked:
                break
            _, i = min(ranked)
            pieces[i : i + 2] = [self.merged(pieces[i], pieces[i + 1])]
            made.append(pieces[i])
        return pieces, made

    def merged(self, left: str, right: str) -> str:
        """The entry that a merge makes."""
        return left + right.removeprefix(self._prefix)
