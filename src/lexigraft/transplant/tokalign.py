"""TokAlign: each new token takes the rows of the source token that keeps the same company."""

import numpy as np
import torch

from lexigraft.transplant.cooccurrence import ppmi_vectors
from lexigraft.transplant.corpus import tokenised
from lexigraft.transplant.filling import Combination, Filled, Gap
from lexigraft.transplant.neighbours import nearest

_FEWEST_PIVOTS = 2
_CANDIDATES, _MOST_CANDIDATES = 64, 1024


def tokalign(
    gap: Gap, pivots: int = 300, dim: int = 300, window: int = 15, min_count: int = 5, one_to_one: bool = True
) -> Filled:
    """TokAlign (Li et al. 2025): row(t) = S[s] with s the source token most similar to t, for input and output rows.

    Each side's tokens get co-occurrence vectors from the same texts, tokenised by each tokenizer. A token's relative
    representation `[pivots]` is its cosines to the `pivots` most frequent shared tokens; s maximises the cosine
    between those. The paper trains GloVe; here PPMI reduced by SVD, which is the same on every run.

    `one_to_one`: no source token serves twice, nor those that shared tokens have; pairs are given by falling
    similarity, and what is left over is declined (all of it where a vocabulary was only extended). False: any source
    token may serve many, as in the authors' code. Tokens rarer than `min_count` and special tokens are declined.
    `ValueError` where there are no texts, no source tokenizer, or too few shared tokens.
    """
    texts = gap.need_texts("TokAlign")
    if gap.source.tokenizer is None:
        raise ValueError(
            "TokAlign tokenises the texts with the source's tokenizer too, but this source has none: take a source "
            "with a tokenizer of its own, such as source=hf, or another transplant option"
        )
    source = ppmi_vectors(tokenised(gap.source.tokenizer, texts), dim, window, min_count)
    corpus = tokenised(gap.target, texts)
    target = ppmi_vectors(corpus, dim, window, min_count)
    source_known: np.ndarray = np.any(source, axis=1)
    target_known: np.ndarray = np.any(target, axis=1)

    both = source_known[gap.shared_source] & target_known[gap.shared_target]
    if np.count_nonzero(both) < _FEWEST_PIVOTS:
        raise ValueError(
            f"TokAlign compares tokens by their likeness to shared ones, but only {int(both.sum())} of the "
            f"{len(both)} shared tokens occur {min_count} times in the texts: give more texts, or another option"
        )
    by_count = np.argsort(-corpus.counts[gap.shared_target[both]], kind="stable")[:pivots]
    source_pivots, target_pivots = gap.shared_source[both][by_count], gap.shared_target[both][by_count]

    free = np.zeros(len(gap.source.vocabulary), dtype=bool)  # a matrix may be longer than its tokenizer
    free[: len(source_known)] = source_known
    free[[t.role is not None for t in gap.source.vocabulary]] = False
    if one_to_one:
        free[gap.shared_source[~np.isin(gap.shared_target, gap.ids)]] = False
    asked = (target_known & gap.target.vocabulary.ordinary)[gap.ids]
    candidates = np.flatnonzero(free)
    queries = _relative(target, gap.ids[asked], target_pivots)
    keys = _relative(source, candidates, source_pivots)
    match = _greedy(queries, keys) if one_to_one else nearest(queries, keys, 1)[0][:, 0].numpy()

    done = asked.copy()
    done[asked] = match >= 0
    chosen = candidates[match[match >= 0]]
    rows = Combination.copies_of(chosen)
    return Filled("tokalign", done, rows, notes={"pivots": len(by_count), "tokens declined": int((~done).sum())})


def _relative(vectors: np.ndarray, ids: np.ndarray, pivots: np.ndarray) -> torch.Tensor:
    """Cosines `[n, pivots]` of the vectors `ids` to the vectors `pivots`, float32."""
    return torch.from_numpy((_unit(vectors[ids]) @ _unit(vectors[pivots]).T).astype(np.float32))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _greedy(queries: torch.Tensor, keys: torch.Tensor) -> np.ndarray:
    """A key for each of N queries, int64 `[N]`, no key twice; -1 once none is left.

    In rounds: the nearest free keys of every query without one, the most similar pairs first.
    """
    match = np.full(len(queries), -1, np.int64)
    free = np.arange(len(keys))
    left = np.arange(len(queries))
    k = _CANDIDATES
    while len(left) and len(free):
        ids, values = (found.numpy() for found in nearest(queries[left], keys[free], min(k, len(free))))
        query, place = np.nonzero(ids >= 0)
        order = np.argsort(-values[query, place], kind="stable")
        taken = np.zeros(len(free), dtype=bool)
        for i, key in zip(left[query[order]].tolist(), ids[query, place][order].tolist()):
            if match[i] < 0 and not taken[key]:
                match[i], taken[key] = free[key], True
        if not taken.any():
            break
        left, free = left[match[left] < 0], free[~taken]
        k = min(2 * k, _MOST_CANDIDATES)
    return match
