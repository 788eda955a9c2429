"""Documents without those that hold a text which a model must not have read: one of a dev or test split, say.

Texts are compared by their letters and digits: after NFKC and case folding, without white space and punctuation.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from lexigraft.data.near_duplicates import near_pairs

APART = "\n"  # stands in no normal form
BLOCK = 4_000_000  # characters that are looked at together
_MARKS = re.compile(r"[\W_]+")
_ENDS = re.compile(r"[。！？!?；;…\n]+|\.(?=\s|$)")


def keep_out(
    documents: Sequence[str], texts: Iterable[str], *, near: float | None = 0.8, least: int = 10, run: int = 30
) -> tuple[list[str], dict[str, int]]:
    """The documents that hold none of the texts, in order, and how many were left out for which reason.

    `equal`: the document, or a sentence of it, equals a text. `shared`: one of the two, of at least `least` letters,
    stands inside the other, or they have a run of `run` letters in common. `near`: further documents that are of a
    Jaccard similarity of at least `near` to a text, by character 4-grams (None: none is). `ValueError` if `least` is
    below 1 or above `run`.
    """
    if not 1 <= least <= run:
        raise ValueError(f"keeping texts out: least is {least} and run is {run}; 1 <= least <= run is expected")
    unwanted = dict.fromkeys(filter(None, map(normal, texts)))
    counts = {"documents": len(documents), "texts": len(unwanted), "equal": 0, "shared": 0, "near": 0}
    left, letters = _without_equal(documents, unwanted.keys())
    counts["equal"] = len(documents) - len(left)
    distinct = list(dict.fromkeys(letters))
    shared = _sharing(distinct, list(unwanted), least, run)
    rest = [text for text in distinct if text not in shared]
    close = set() if near is None else _near(rest, list(unwanted), near)
    counts["shared"], counts["near"] = (sum(text in found for text in letters) for found in (shared, close))
    return [documents[i] for i, text in zip(left, letters) if text not in shared and text not in close], counts


def normal(text: str) -> str:
    """The letters and digits of a text, by which it is told from others."""
    return _MARKS.sub("", unicodedata.normalize("NFKC", text).casefold())


def _without_equal(documents: Sequence[str], unwanted: Iterable[str]) -> tuple[list[int], list[str]]:
    """Which documents neither are nor have as a sentence an unwanted normal form, and their own normal forms."""
    known = frozenset(unwanted)
    left, letters = [], []
    for i, document in enumerate(documents):
        sentences = [normal(sentence) for sentence in _ENDS.split(document)]
        whole = "".join(sentences)
        if whole not in known and known.isdisjoint(sentences):
            left.append(i)
            letters.append(whole)
    return left, letters


def _sharing(documents: list[str], texts: list[str], least: int, run: int) -> set[str]:
    """The documents that hold a text, stand in one, or have a run in common with one."""
    known = np.unique(np.concatenate([np.empty(0, np.uint64), *(_grams(j, run)[1] for _, j, _ in _blocks(texts))]))
    found: set[str] = set()
    for begin, joined, starts in _blocks(documents):
        places, grams = _grams(joined, run)
        hits = places[_among(grams, known)]
        found.update(documents[begin + i] for i in np.unique(np.searchsorted(starts, hits, "right") - 1).tolist())
    # What is longer than a run shares one with whatever holds it: only the shorter ones are left to be looked for.
    found.update(documents[i] for i, _ in _holding(documents, [t for t in texts if least <= len(t) < run], least))
    short = [document for document in documents if least <= len(document) < run]
    return found | {short[i] for _, i in _holding(texts, short, least)}


def _holding(holders: Sequence[str], held: Sequence[str], least: int) -> Iterator[tuple[int, int]]:
    """Pairs (i, j) where text i of the one holds text j of the other; these have at least `least` letters."""
    of_head: dict[str, list[int]] = {}
    for j, text in enumerate(held):
        of_head.setdefault(text[:least], []).append(j)
    heads = np.sort(_grams(APART.join(of_head), least)[1])
    for begin, joined, starts in _blocks(holders):
        places, grams = _grams(joined, least)
        for place in places[_among(grams, heads)].tolist():
            for j in of_head.get(joined[place : place + least], ()):
                if joined.startswith(held[j], place):
                    yield begin + int(np.searchsorted(starts, place, "right")) - 1, j


def _near(documents: list[str], texts: list[str], jaccard: float) -> set[str]:
    """The documents that are near a text; all of both are different."""
    one, other, _ = near_pairs([*documents, *texts], jaccard)
    first, second = np.minimum(one, other), np.maximum(one, other)
    return {documents[i] for i in first[(first < len(documents)) & (second >= len(documents))].tolist()}


def _blocks(texts: Sequence[str]) -> Iterator[tuple[int, str, np.ndarray]]:
    """The texts in blocks: which is the first, all of them with `APART` between, and where each begins there."""
    begin = 0
    ends = np.cumsum(np.fromiter((len(text) + 1 for text in texts), np.int64, len(texts)))
    while begin < len(texts):
        before = int(ends[begin - 1]) if begin else 0
        stop = max(begin + 1, int(np.searchsorted(ends, before + BLOCK, "right")))
        starts = np.concatenate([[0], ends[begin : stop - 1] - before])
        yield begin, APART.join(texts[begin:stop]), starts
        begin = stop


def _grams(joined: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Where runs of n letters begin that do not reach over two texts, and a hash of each, uint64."""
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    count = max(0, len(codes) - n + 1)
    mixed = np.zeros(count, np.uint64)
    for k in range(n):
        mixed += codes[k : k + count]
        mixed += np.uint64(1)
        mixed *= np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    breaks = np.concatenate([[0], np.cumsum(codes == ord(APART))])
    whole = np.flatnonzero(breaks[n : n + count] == breaks[:count])
    return whole, mixed[whole]


def _among(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which values are among the known ones, which ascend."""
    if not len(known):
        return np.zeros(len(values), bool)
    return known[np.minimum(np.searchsorted(known, values), len(known) - 1)] == values
