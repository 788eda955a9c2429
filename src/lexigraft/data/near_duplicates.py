"""Pairs and groups of texts that nearly repeat each other, by the Jaccard similarity of their character 4-grams.

Every pair is found: two sets of grams whose similarity is at least t share one of the first |x| - ceil(t |x|) + 1 grams
of each, in whatever order grams are put (prefix filtering; Chaudhuri et al. 2006, Bayardo et al. 2007). With the rarest
first, few texts are left to be compared.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

GRAM = 4
BLOCK = 2**20  # candidate pairs that are compared at a time
SLACK = 1e-9  # of a similarity, for what is rounded

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]


def group_near_duplicates(texts: Sequence[str], jaccard: float) -> list[list[int]]:
    """Indices of `texts` in groups, every index once: two texts share a group if a chain of pairs joins them, each
    pair of a similarity of at least `jaccard` (in (0, 1]). White space does not count."""
    first, second, _ = near_pairs(texts, jaccard)
    joined = coo_array((np.ones(len(first), bool), (first, second)), shape=(len(texts), len(texts)))
    groups: dict[int, list[int]] = {}
    for i, group in enumerate(connected_components(joined, directed=False)[1].tolist() if texts else ()):
        groups.setdefault(group, []).append(i)
    return list(groups.values())


def near_pairs(texts: Sequence[str], jaccard: float) -> Pairs:
    """Pairs of texts of a similarity of at least `jaccard`: indices int64 `[P]` and `[P]`, similarities `[P]`.

    White space does not count, and a text of fewer than four characters is its only gram. A text that stands there
    several times is paired by its first place alone: with its own repetitions and with other texts.
    """
    if not 0 < jaccard <= 1:
        raise ValueError(f"data.near_duplicate is {jaccard}; a similarity above 0 and up to 1 is expected, such as 0.7")
    number_of: dict[str, int] = {}
    numbers = np.array([number_of.setdefault("".join(text.split()), len(number_of)) for text in texts], np.int64)
    place = np.unique(numbers, return_index=True)[1]  # where each distinct text stands first
    again = np.flatnonzero(place[numbers] != np.arange(len(texts))) if texts else numbers
    one, other, similarity = _distinct_pairs(list(number_of), jaccard)
    return (
        np.concatenate([place[one], place[numbers[again]]]),
        np.concatenate([place[other], again]),
        np.concatenate([similarity, np.ones(len(again))]),
    )


def _distinct_pairs(texts: list[str], jaccard: float) -> Pairs:
    """The near pairs of texts none of which repeats another, the lower index first."""
    grams, starts = _grams(texts)
    sizes = np.diff(starts)
    rows = csr_array((np.ones(len(grams), np.int32), grams, starts), shape=(len(texts), int(grams.max(initial=0)) + 1))
    found: list[np.ndarray] = []
    similarities: list[np.ndarray] = []
    for pairs in _candidates(grams, starts, jaccard):
        one, other = pairs // len(texts), pairs % len(texts)
        shared = np.asarray(rows[one].multiply(rows[other]).sum(1)).ravel()
        similarity = shared / (sizes[one] + sizes[other] - shared)
        near = similarity >= jaccard - SLACK
        found.append(pairs[near])
        similarities.append(similarity[near])
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    pairs, once = np.unique(np.concatenate(found), return_index=True)
    return pairs // len(texts), pairs % len(texts), np.concatenate(similarities)[once]


def _candidates(grams: np.ndarray, starts: np.ndarray, jaccard: float) -> Iterator[np.ndarray]:
    """Pairs that share a gram of both prefixes and are of similar enough size, as i * N + j with i < j, in blocks."""
    sizes = np.diff(starts)
    largest = int(sizes.max(initial=0)) + 1
    prefix = sizes - np.ceil(sizes * jaccard - SLACK).astype(np.int64) + 1
    text = np.repeat(np.arange(len(sizes)), prefix)
    gram = grams[np.repeat(starts[:-1], prefix) + _counted(prefix)]
    order = np.lexsort((sizes[text], gram))
    text, gram = text[order], gram[order]
    # The texts of one gram now stand together, by size: each meets those after it that are not too large.
    reach = np.minimum(np.floor(sizes[text] / jaccard + SLACK).astype(np.int64), largest)
    end = np.searchsorted(gram * (largest + 1) + sizes[text], gram * (largest + 1) + reach, "right")
    partners = end - np.arange(len(text)) - 1
    total = np.cumsum(partners)
    begin = 0
    while begin < len(text):
        before = int(total[begin - 1]) if begin else 0
        stop = max(begin + 1, int(np.searchsorted(total, before + BLOCK, "right")))
        number = partners[begin:stop]
        one = np.repeat(np.arange(begin, stop), number)
        one, other = text[one], text[one + 1 + _counted(number)]
        pairs = np.sort(np.minimum(one, other) * len(sizes) + np.maximum(one, other))
        yield pairs[np.diff(pairs, prepend=-1) > 0]
        begin = stop


def _grams(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The distinct grams of each text, int64 end to end, the rarest first, and where each text's begin `[N + 1]`.

    Grams are numbered by rarity. They are told apart by 64 bits of a hash.
    """
    filled = [text.ljust(GRAM, "\0") for text in texts]
    lengths = np.fromiter(map(len, filled), np.int64, len(filled))
    codes = np.frombuffer("".join(filled).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    counts = lengths - (GRAM - 1)
    at = np.repeat(np.cumsum(lengths) - lengths, counts) + _counted(counts)
    mixed = np.zeros(len(at), np.uint64)
    for n in range(GRAM):
        mixed = (mixed + codes[at + n] + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    order = np.argsort(mixed, kind="stable")
    fresh = np.diff(mixed[order], prepend=mixed[order[:1]]) != 0
    number = np.empty(len(at), np.int64)
    number[order] = np.cumsum(fresh)
    often = np.bincount(number)
    rank = np.empty(len(often), np.int64)
    rank[np.argsort(often, kind="stable")] = np.arange(len(often))
    # Not np.unique, which for so many numbers takes ten times as long as a sort.
    held = np.sort(np.repeat(np.arange(len(texts)), counts) * len(often) + rank[number])
    held = held[np.diff(held, prepend=-1) > 0]
    return held % max(1, len(often)), np.searchsorted(held // max(1, len(often)), np.arange(len(texts) + 1))


def _counted(counts: np.ndarray) -> np.ndarray:
    """0 up to each count less one, count after count."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
