"""Changing the width of a matrix."""

from dataclasses import replace

import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix


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
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    axes = vectors.flip(1).T
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    return axes * largest.sign()
