"""Vectors of tokens by the company they keep: positive pointwise mutual information, reduced by SVD."""

import numpy as np
import torch
from scipy.sparse import coo_matrix, csr_matrix, diags

from lexigraft.transplant.corpus import Corpus

_POSITIONS_AT_A_TIME = 1 << 20
_SMOOTHING = 0.75
_DENSE = 1000  # tokens up to which a full SVD is quicker
_SPARE = 10  # further directions of an approximate SVD: they take its errors


def ppmi_vectors(corpus: Corpus, dim: int = 300, window: int = 15, min_count: int = 5) -> np.ndarray:
    """Vectors float64 `[T, d]` of the T tokens, d = `dim` or fewer; zero for those rarer than `min_count`.

    Pairs of tokens at most `window` apart count 1/distance, as for GloVe. PPMI_ij = max(0, log p(i, j) / (p(i) q(j))),
    q ~ counts^0.75; its d first singular vectors times the roots of their values (Levy, Goldberg & Dagan 2015).
    Unlike GloVe's, these vectors are the same on every run.
    """
    tokens = np.flatnonzero(corpus.counts >= max(1, min_count))
    vectors = np.zeros((len(corpus.counts), max(1, dim)))
    if not len(tokens):
        return vectors
    information = _ppmi(_counts(corpus, tokens, window))
    left, values = _left_singular(information, dim)
    values[values <= values.max(initial=0) * len(tokens) * np.finfo(float).eps] = 0
    left[np.asarray(information.sum(1)).ravel() == 0] = 0  # not the rounding error that an SVD makes of nothing
    vectors[tokens, : len(values)] = left * np.sqrt(values)
    return vectors


def _counts(corpus: Corpus, tokens: np.ndarray, window: int) -> csr_matrix:
    """Symmetric weighted counts [n, n] of pairs of `tokens` within a text."""
    number = np.full(len(corpus.counts), -1, np.int32)
    number[tokens] = np.arange(len(tokens))
    ids = number[corpus.ids]
    text = np.repeat(np.arange(len(corpus.start) - 1, dtype=np.int32), np.diff(corpus.start))
    total = csr_matrix((len(tokens), len(tokens)))
    for distance in range(1, window + 1):
        # Whole numbers are added up first, so that the blocks do not matter.
        found = csr_matrix(total.shape)
        for begin in range(0, len(ids) - distance, _POSITIONS_AT_A_TIME):
            end = min(begin + _POSITIONS_AT_A_TIME, len(ids) - distance)
            one, other = ids[begin:end], ids[begin + distance : end + distance]
            pair = (text[begin:end] == text[begin + distance : end + distance]) & (one >= 0) & (other >= 0)
            found += coo_matrix((np.ones(int(pair.sum())), (one[pair], other[pair])), total.shape).tocsr()
        total += found / distance
    return total + total.T


def _ppmi(counts: csr_matrix) -> csr_matrix:
    occurring = np.asarray(counts.sum(1)).ravel()
    context = occurring**_SMOOTHING
    expected = diags(_inverse(occurring)) @ counts @ diags(_inverse(context / max(context.sum(), 1e-300)))
    expected.data = np.maximum(np.log(expected.data), 0)
    expected.eliminate_zeros()
    return expected.tocsr()


def _inverse(values: np.ndarray) -> np.ndarray:
    """1/x, and 0 for tokens that stand alone in every text."""
    return np.divide(1.0, values, out=np.zeros_like(values), where=values > 0)


def _left_singular(matrix: csr_matrix, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `dim` left singular vectors `[n, d]` and their values `[d]`; of a large matrix nearly (Halko 2011)."""
    count = matrix.shape[0]
    if count <= max(_DENSE, dim + _SPARE):
        left, values, _ = np.linalg.svd(matrix.toarray())
        return left[:, :dim], values[:dim]
    entries = matrix.tocoo()
    sparse = torch.sparse_coo_tensor(
        torch.from_numpy(np.stack([entries.row, entries.col])),
        torch.from_numpy(entries.data),
        matrix.shape,
        check_invariants=False,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # it starts from random directions: always the same ones
        nearly, sizes, _ = torch.svd_lowrank(sparse.coalesce(), q=dim + _SPARE, niter=4)
    return nearly[:, :dim].numpy(), sizes[:dim].numpy()
