"""Changing the width of a matrix: PCA, a rotation into another matrix's space, a learned or a factorised projection."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch

from lexigraft.embeddings.axes import fixed_signs
from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.transplant.donor import anchors
from lexigraft.transplant.procrustes import orthogonal_map

Resize = Literal["pca", "linear", "procrustes", "factorised"]
TARGET = "target"


@dataclass(frozen=True)
class Resized:
    """The matrix in its new width, and the projection of its rows that a model is asked for.

    `project_to` None: none. `projection` `[dim, project_to]` is what it starts as, None: the model's own start.
    """

    matrix: EmbeddingMatrix
    project_to: int | None = None
    projection: torch.Tensor | None = None


def resized(source: EmbeddingMatrix, dim: int | None, how: Resize, spaces: Mapping[str, EmbeddingMatrix]) -> Resized:
    """The matrix such that the model sees width `dim`, or its own where `dim` is None.

    `pca` writes the rows in their leading principal axes; `linear` leaves them and asks for a learned projection;
    `procrustes` rotates them into the space of `spaces["target"]` (whose width it is); `factorised` keeps the model's
    width and makes the rows `dim` numbers wide (OFA, Liu et al. 2024). `ValueError` where that cannot be.
    """
    if how == "procrustes":
        return Resized(_into_space(source, dim, spaces))
    if dim is None or dim == source.dim:
        return Resized(source)
    if how == "linear":
        return Resized(source, project_to=dim)
    if how == "factorised":
        return _factorised(source, dim)
    return Resized(pca(source, dim))


def pca(source: EmbeddingMatrix, dim: int) -> EmbeddingMatrix:
    """The matrix in the `dim` leading principal axes of its rows `[V, D] -> [V, dim]`.

    Input rows are centred first; output rows are turned by the same axes without centring, so that a hidden state
    written in those axes meets both. Signs are fixed (the largest entry of an axis is positive), so the result does
    not depend on the eigensolver's choice. `ValueError` if `dim` is larger than D or not positive.
    """
    if not 1 <= dim <= source.dim:
        raise ValueError(
            f"transplant.dim={dim} cannot be reached by PCA from rows of width {source.dim}: "
            f"give 1 to {source.dim}, or transplant.resize=linear, which can also widen"
        )
    rows = source.rows.double()
    centre = rows.mean(0)
    axes = principal_axes(rows)[:dim].T
    output = None if source.output_rows is None else (source.output_rows.double() @ axes).to(source.rows.dtype)
    return replace(source, rows=((rows - centre) @ axes).to(source.rows.dtype), output_rows=output)


def principal_axes(rows: torch.Tensor) -> torch.Tensor:
    """Principal axes `[D, D]` of rows `[V, D]`, one a row, in float64, by falling variance, with fixed signs."""
    centred = rows.double() - rows.double().mean(0)
    return _axes(centred.T @ centred)


def _axes(gram: torch.Tensor) -> torch.Tensor:
    """Eigenvectors `[D, D]` of a symmetric matrix, one a row, by falling eigenvalue, with fixed signs."""
    _, vectors = torch.linalg.eigh(gram)
    return fixed_signs(vectors).flip(1).T


def _factorised(source: EmbeddingMatrix, dim: int) -> Resized:
    """S ~ (U_d Sigma_d) V_d^T: rows `[V, dim]` and the projection `[dim, D]` by which they come closest to S.

    The singular values stay with the rows, so that the projection is an isometry and keeps their norms.
    """
    if not 1 <= dim < source.dim:
        raise ValueError(
            f"transplant.dim={dim} with transplant.resize=factorised should be less than the source's width "
            f"{source.dim}"
        )
    rows = source.rows.double()
    projection = _axes(rows.T @ rows)[:dim]
    narrow = replace(source, rows=(rows @ projection.T).to(source.rows.dtype))
    return Resized(narrow, source.dim, projection.to(source.rows.dtype))


def _into_space(source: EmbeddingMatrix, dim: int | None, spaces: Mapping[str, EmbeddingMatrix]) -> EmbeddingMatrix:
    """x -> (x - mean_x) W + mean_y, W fitted on the tokens that source and target space share."""
    if TARGET not in spaces:
        raise ValueError(
            "transplant.resize=procrustes needs the matrix whose space is meant: give it as "
            "+source@transplant.spaces.target=hf transplant.spaces.target.name=..., or any other option of conf/source"
        )
    target = spaces[TARGET]
    if dim is not None and dim != target.dim:
        raise ValueError(
            f"transplant.dim={dim} is not the width {target.dim} of transplant.spaces.target: leave it out"
        )
    ours, theirs = anchors(source, target)
    if len(ours) < 2:
        raise ValueError(
            f"source and transplant.spaces.target share {len(ours)} tokens: a rotation cannot be fitted to them"
        )
    x, y = source.rows[torch.from_numpy(ours)].double(), target.rows[torch.from_numpy(theirs)].double()
    turn = orthogonal_map(x - x.mean(0), y - y.mean(0))
    rows = (source.rows.double() - x.mean(0)) @ turn + y.mean(0)
    output = None if source.output_rows is None else (source.output_rows.double() @ turn).to(source.rows.dtype)
    return replace(source, rows=rows.to(source.rows.dtype), output_rows=output)
