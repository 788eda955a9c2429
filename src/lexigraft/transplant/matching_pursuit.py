"""Orthogonal matching pursuit: each target as a weighted sum of a few atoms, chosen greedily."""

import hashlib
import importlib.util
from typing import NamedTuple

import torch

# The pursuit of a unit target ends where the largest correlation of its residual is float32's rounding, or where less
# than this of the next unit atom stands out of the span of those before it: such atoms make coefficients explode.
LEAST_CORRELATION, LEAST_PIVOT = 2e-6, 3e-3
_TARGETS = 512  # taken at a time
_BLOCK_BYTES = 64 << 20  # of correlations, or of chosen atoms


class Pursuit(NamedTuple):
    """N sums of at most k of A atoms each, in the order of choice.

    `ids` int64 [N, k], -1 where no atom is left to choose; `coefficients` float64 [N, k], 0 there; `residuals`
    float64 [N], |t - sum| / |t|, 0 for a zero target.
    """

    ids: torch.Tensor
    coefficients: torch.Tensor
    residuals: torch.Tensor


def pursue(
    targets: torch.Tensor,
    atoms: torch.Tensor,
    k: int,
    *,
    gram: torch.Tensor | None = None,
    gram_bytes: int = 4 << 30,
) -> Pursuit:
    """Write targets [N, D] as sums of at most k atoms [A, D] each (Pati, Rezaiifar and Krishnaprasad, 1993).

    Until k atoms are chosen: add the one with the largest |<r, a>| / |a| for the residual r, and make r the rest that
    least squares over the chosen atoms leaves. Fewer are chosen where r is orthogonal to all atoms, within float32, or
    where the next one lies in the span of the chosen ones: so k may exceed D, atoms may be repeated (the first counts),
    zero or of any norm. Atoms and targets are rounded to float32 at unit norm; over these the coefficients are those of
    float64 least squares.

    With numba (the extra `fast`) the choice works on the atoms' Gram matrix, where that takes at most `gram_bytes`
    and the targets are enough to pay for it; else on the residuals, in torch: the same choice, about a tenth as fast.
    `gram` is `gram_matrix(atoms)`, for callers that use it more than once. `ValueError` if k is not positive or a value
    is not finite.
    """
    if k < 1:
        raise ValueError(f"k is {k}: a target is written as a sum of at least 1 atom")
    if not (torch.isfinite(targets).all() and torch.isfinite(atoms).all()):
        raise ValueError("targets and atoms of a matching pursuit should be finite")
    k = min(k, len(atoms))
    unit, norms = _unit(atoms)
    if importlib.util.find_spec("numba") is None:
        gram = None
    elif gram is None and _gram_pays(len(targets), len(atoms), k, gram_bytes):
        gram = _gram(unit)
    parts = []
    for block in targets.split(_TARGETS):
        rows, lengths = _normalised(block)
        if gram is None:
            ids, coefficients, residuals = _pursue_by_residuals(rows, unit, k)
        else:
            from lexigraft.transplant.gram_pursuit import pursue_by_gram

            ids, coefficients, residuals = pursue_by_gram(
                rows, unit, gram, k, least_correlation=LEAST_CORRELATION, least_pivot=LEAST_PIVOT
            )
        parts.append((ids, coefficients * lengths[:, None] / norms[ids.clamp(min=0)], residuals))
    return Pursuit(*(torch.cat(part) for part in zip(*parts)))


def gram_matrix(atoms: torch.Tensor) -> torch.Tensor:
    """The inner products of the atoms [A, D] at unit norm, float32 [A, A]."""
    return _gram(_unit(atoms)[0])


def _unit(atoms: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Atoms at unit norm, float32 [A, D], and their norms, float64 [A]; an atom that was there before is made zero.

    Which of two equal atoms has the larger product is rounding: it would depend on the number of threads.
    """
    unit, norms = _normalised(atoms)
    seen: set[bytes] = set()
    for i, row in enumerate(unit.numpy()):
        digest = hashlib.blake2b(row, digest_size=16).digest()
        if digest in seen:
            unit[i] = 0
        seen.add(digest)
    return unit, norms


def _normalised(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows at unit norm, float32 [N, D], and their norms, float64 [N], 1 for a zero row."""
    norms = torch.cat([block.double().norm(dim=1) for block in rows.split(_TARGETS)])
    norms = torch.where(norms > 0, norms, 1.0)
    return torch.cat([(r / n[:, None]).float() for r, n in zip(rows.split(_TARGETS), norms.split(_TARGETS))]), norms


def _gram_pays(targets: int, atoms: int, k: int, gram_bytes: int) -> bool:
    """The Gram matrix costs A^2 D / 2 multiply-adds and saves N A D k of them."""
    return 4 * atoms**2 <= gram_bytes and 2 * targets * k >= atoms


def _gram(unit: torch.Tensor) -> torch.Tensor:
    gram = torch.empty(len(unit), len(unit))
    for i in range(0, len(unit), _TARGETS):
        block = unit[i : i + _TARGETS] @ unit[i:].T
        gram[i : i + _TARGETS, i:] = block
        gram[i:, i : i + _TARGETS] = block.T
    return gram


def _pursue_by_residuals(
    targets: torch.Tensor, unit: torch.Tensor, k: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What `gram_pursuit.pursue_by_gram` gives, in torch and without a Gram matrix: B A D multiply-adds a step."""
    size = max(1, _BLOCK_BYTES // (4 * max(len(unit), 2 * k * unit.shape[1])))
    parts = []
    for block in targets.split(size):
        ids, triangle = _select(block, unit, k)
        parts.append((ids, *_least_squares(block, unit, ids, triangle)))
    ids, coefficients, residuals = (torch.cat(part) for part in zip(*parts))
    return ids, coefficients, residuals


def _select(residual: torch.Tensor, unit: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The chosen ids [B, k], and the Cholesky factors R [B, k, k] of their Gram matrices R^T R, 1 where none is."""
    count, dim = residual.shape
    ids = torch.full((count, k), -1)
    triangle = torch.eye(k).repeat(count, 1, 1)
    basis = torch.zeros(count, k, dim)
    going = torch.ones(count, dtype=torch.bool)
    for j in range(k):
        correlation, new = (residual @ unit.T).abs().max(1)
        direction, above = unit[new], torch.zeros(count, j)
        for _ in range(2):  # Gram-Schmidt, twice: orthogonal within float32
            part = torch.einsum("bjd,bd->bj", basis[:, :j], direction)
            direction = direction - torch.einsum("bj,bjd->bd", part, basis[:, :j])
            above = above + part
        pivot = direction.norm(dim=1)
        going &= (correlation >= LEAST_CORRELATION) & (pivot >= LEAST_PIVOT)
        if not going.any():
            break
        direction = torch.where(going[:, None], direction / pivot[:, None], 0.0)
        basis[:, j] = direction
        ids[going, j] = new[going]
        triangle[going, :j, j] = above[going]
        triangle[going, j, j] = pivot[going]
        residual = residual - (residual * direction).sum(1, keepdim=True) * direction
    return ids, triangle


def _least_squares(
    targets: torch.Tensor, unit: torch.Tensor, ids: torch.Tensor, triangle: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Coefficients of the chosen unit atoms, float64 [B, k], and the norms of what is left, float64 [B].

    Seminormal equations R^T R x = A r with R in float32, corrected by float64 residuals (Bjorck, 1987).
    """
    chosen = unit.index_select(0, ids.clamp(min=0).flatten()).double().view(*ids.shape, unit.shape[1])
    missing = (ids < 0)[..., None]
    triangle = triangle.double()
    targets = targets.double()[..., None]
    coefficients, residual = torch.zeros(*ids.shape, 1, dtype=torch.float64), targets
    for _ in range(3):
        gradient = (chosen @ residual).masked_fill_(missing, 0.0)
        half = torch.linalg.solve_triangular(triangle.mT, gradient, upper=False)
        coefficients += torch.linalg.solve_triangular(triangle, half, upper=True)
        residual = targets - (coefficients.mT @ chosen).mT
    return coefficients[..., 0], residual[..., 0].norm(dim=1)
