"""Groups of texts that nearly repeat each other, by the Jaccard similarity of their character 4-grams."""

import zlib
from collections.abc import Sequence

from datasketch import MinHash, MinHashLSH

PERMUTATIONS = 64


def group_near_duplicates(texts: Sequence[str], jaccard: float) -> list[list[int]]:
    """Indices of `texts` in groups, every index once: two texts share a group if a chain of pairs joins them, each
    pair of a similarity of at least `jaccard` (in (0, 1]). White space does not count.

    Candidates come from MinHash LSH (Broder 1997; Indyk & Motwani 1998) at a threshold 0.2 below `jaccard`, which finds
    98 % of the pairs at 0.7 and nearly all above it; every candidate's similarity is then counted exactly.
    """
    if not 0 < jaccard <= 1:
        raise ValueError(f"data.near_duplicate is {jaccard}; a similarity above 0 and up to 1 is expected, such as 0.7")
    grams = [_grams(text) for text in texts]
    index = MinHashLSH(threshold=max(jaccard - 0.2, 0.05), num_perm=PERMUTATIONS)
    signatures = MinHash.generator(
        ([g.encode() for g in grams_of_one] for grams_of_one in grams),
        num_perm=PERMUTATIONS,
        hashfunc=zlib.crc32,  # the default, SHA-1, takes three times as long
    )
    parent = list(range(len(texts)))
    for i, signature in enumerate(signatures):
        for j in index.query(signature):
            if len(grams[i] & grams[j]) >= jaccard * len(grams[i] | grams[j]):
                parent[_root(parent, i)] = _root(parent, j)
        index.insert(i, signature)

    groups: dict[int, list[int]] = {}
    for i in range(len(texts)):
        groups.setdefault(_root(parent, i), []).append(i)
    return list(groups.values())


def _grams(text: str, n: int = 4) -> set[str]:
    """Character n-grams without white space; a shorter text is its only one."""
    text = "".join(text.split())
    return {text[i : i + n] for i in range(max(1, len(text) - n + 1))}


def _root(parent: list[int], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i
