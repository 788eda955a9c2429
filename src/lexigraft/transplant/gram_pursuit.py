"""Orthogonal matching pursuit over a Gram matrix, compiled by numba (the extra `fast`).

Batch-OMP after Rubinstein, Zibulevsky and Elad (2008), arranged such that a step forms one new vector of length A.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numba import njit

# Atoms that are worked on at a time, for the L1 cache. No power of two: rows of a page's length would share cache sets.
TILE = 992
_ROWS_PER_CALL = 8
_NO_SIGN = np.int32(0x7FFFFFFF)


def pursue_by_gram(
    targets: torch.Tensor,
    unit: torch.Tensor,
    gram: torch.Tensor,
    k: int,
    *,
    least_correlation: float,
    least_pivot: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids int64 [B, k], coefficients float64 [B, k] and residuals' norms float64 [B] of unit or zero targets [B, D].

    `unit` float32 [A, D] are the atoms, of unit norm or zero, and `gram` [A, A] their inner products. No atom is chosen
    whose correlation with the residual is below `least_correlation`, or of which less than `least_pivot` stands out of
    the span of those before it: ids are -1 from there on.

    The targets are shared out among torch's number of threads; one costs about A k^2 / 2 multiply-adds, in a working
    set of A k floats.
    """
    correlations, rows = (targets @ unit.T).numpy(), targets.numpy()
    ids = np.full((len(rows), k), -1, np.int64)
    coefficients = np.zeros((len(rows), k))
    residuals = np.zeros(len(rows))

    def work(first: int) -> None:
        part = slice(first, first + _ROWS_PER_CALL)
        _pursue(
            (rows[part], unit.numpy(), gram.numpy(), correlations[part]),
            (ids[part], coefficients[part], residuals[part]),
            (least_correlation, least_pivot),
        )

    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        list(threads.map(work, range(0, len(rows), _ROWS_PER_CALL)))
    return torch.from_numpy(ids), torch.from_numpy(coefficients), torch.from_numpy(residuals)


def _compiled(fastmath: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """numba's `njit` without the GIL, cached on disk where that can be written to."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return njit(nogil=True, cache=True, fastmath=fastmath)(function)
        except RuntimeError:  # no folder for the cache: it compiles anew in every process
            return njit(nogil=True, fastmath=fastmath)(function)

    return decorate


@_compiled()
def _pursue(inputs: Any, outputs: Any, least: Any) -> None:  # pragma: no cover - compiled
    """Choose the atoms of each target, then solve for their coefficients."""
    targets, unit, gram, correlations = inputs
    ids, coefficients, residuals = outputs
    atoms, k = len(gram), ids.shape[1]
    basis = np.empty(((atoms + TILE - 1) // TILE, k, TILE), np.float32)
    triangle = np.empty((k, k))
    for row in range(len(ids)):
        count = _select(gram, correlations[row], ids[row], triangle, basis, least)
        residuals[row] = _solve(targets[row], unit, ids[row, :count], triangle, coefficients[row])


@_compiled()
def _select(
    gram: Any, correlation: Any, ids: Any, triangle: Any, basis: Any, least: Any
) -> int:  # pragma: no cover - compiled
    """Write the chosen ids and the Cholesky factor R of their Gram matrix, R^T R; the number of them.

    With U the orthonormal basis of the chosen atoms, `basis[t, j]` holds <a_i, u_j> for the atoms i of tile t, so that
    the column of R for the atom `new` can be read off it, and a step is q = (G[:, new] - Q R) / rho,
    correlation -= q c.
    """
    least_correlation, least_pivot = least
    atoms, tiles, k = len(gram), len(basis), len(ids)
    weights = np.empty(k, np.float32)
    bits = correlation.view(np.int32)
    largest, tile = np.int32(-1), 0
    for t in range(tiles):
        found = _largest(bits[t * TILE : (t + 1) * TILE])
        if found > largest:
            largest, tile = found, t
    for j in range(k):
        new = tile * TILE
        while bits[new] & _NO_SIGN != largest:
            new += 1
        if abs(correlation[new]) < least_correlation:
            return j
        square = 1.0
        for i in range(j):
            weights[i] = basis[tile, i, new - tile * TILE]
            triangle[i, j] = weights[i]
            square -= triangle[i, j] ** 2
        if square < least_pivot**2:
            return j
        pivot = np.sqrt(square)
        ids[j], triangle[j, j] = new, pivot
        if j + 1 == k:
            break
        step = np.float32(correlation[new] / pivot)
        scale = np.float32(1 / pivot)
        for i in range(j):
            weights[i] *= scale
        largest = np.int32(-1)
        for t in range(tiles):
            here = slice(t * TILE, min(atoms, (t + 1) * TILE))
            _orthogonalise(gram[new, here], basis[t], weights, j, scale)
            _subtract(correlation[here], basis[t, j], step)
            found = _largest(bits[here])
            if found > largest:
                largest, tile = found, t
    return k


@_compiled(fastmath=True)
def _solve(target: Any, unit: Any, ids: Any, triangle: Any, coefficients: Any) -> float:  # pragma: no cover - compiled
    """Write the least-squares coefficients; the norm of what they leave.

    Seminormal equations R^T R x = A r with the float32 R, corrected by float64 residuals (Bjorck, 1987).
    """
    count, dim = len(ids), len(target)
    residual = np.empty(dim)
    for d in range(dim):
        residual[d] = target[d]
    change = np.empty(count)
    for _ in range(3):
        for i in range(count):
            atom, total = unit[ids[i]], 0.0
            for d in range(dim):
                total += atom[d] * residual[d]
            for j in range(i):
                total -= triangle[j, i] * change[j]
            change[i] = total / triangle[i, i]
        for i in range(count - 1, -1, -1):
            for j in range(i + 1, count):
                change[i] -= triangle[i, j] * change[j]
            change[i] /= triangle[i, i]
            coefficients[i] += change[i]
            atom, x = unit[ids[i]], change[i]
            for d in range(dim):
                residual[d] -= x * atom[d]
    square = 0.0
    for d in range(dim):
        square += residual[d] ** 2
    return np.sqrt(square)


@_compiled(fastmath=True)
def _orthogonalise(column: Any, basis: Any, weights: Any, j: int, scale: Any) -> None:  # pragma: no cover - compiled
    """basis[j] = scale column - sum over i < j of weights[i] basis[i], eight rows in one pass."""
    new = basis[j]
    for x in range(len(column)):
        new[x] = scale * column[x]
    i = 0
    while i + 8 <= j:
        q0, q1, q2, q3, q4, q5, q6, q7 = (
            basis[i],
            basis[i + 1],
            basis[i + 2],
            basis[i + 3],
            basis[i + 4],
            basis[i + 5],
            basis[i + 6],
            basis[i + 7],
        )
        w0, w1, w2, w3 = weights[i], weights[i + 1], weights[i + 2], weights[i + 3]
        w4, w5, w6, w7 = weights[i + 4], weights[i + 5], weights[i + 6], weights[i + 7]
        for x in range(len(column)):
            new[x] -= (
                w0 * q0[x] + w1 * q1[x] + w2 * q2[x] + w3 * q3[x] + w4 * q4[x] + w5 * q5[x] + w6 * q6[x] + w7 * q7[x]
            )
        i += 8
    while i < j:
        q0, w0 = basis[i], weights[i]
        for x in range(len(column)):
            new[x] -= w0 * q0[x]
        i += 1


@_compiled(fastmath=True)
def _subtract(correlation: Any, direction: Any, step: Any) -> None:  # pragma: no cover - compiled
    for x in range(len(correlation)):
        correlation[x] -= step * direction[x]


@_compiled()
def _largest(bits: Any) -> Any:  # pragma: no cover - compiled
    """The largest magnitude, as its bits: unlike a maximum of floats, that of integers becomes SIMD instructions."""
    largest = np.int32(0)
    for x in range(len(bits)):
        largest = max(largest, np.int32(bits[x] & _NO_SIGN))
    return largest
