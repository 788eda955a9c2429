"""Rows carried over from a donor's space by a rotation that fits the tokens which both spaces have."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from lexigraft.transplant.donor import anchors, output_vectors_of, vectors_of, well_behaved
from lexigraft.transplant.filling import Filled, Gap

_NO_VARIANCE = 1e-6  # relative to the largest singular value: axes along which float32 rows do not vary


def orthogonal_map(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The semi-orthogonal W (float64 [p, q]) that carries x [n, p] to y [n, q]: x W ~ y (Schoenemann, 1966).

    x^T y = U S V^T, W = U V^T. It has the largest <x W, y> of all such W; for p <= q, where it keeps every length, that
    is the smallest |x W - y|. Nothing is centred. `ValueError` if x and y differ in length.
    """
    if len(x) != len(y):
        raise ValueError(f"{len(x)} rows cannot be rotated onto {len(y)}: an orthogonal map is fitted to pairs of rows")
    left, _, right = torch.linalg.svd(x.double().T @ y.double(), full_matrices=False)
    return left @ right


def procrustes(gap: Gap) -> Filled:
    """Rows of the space `donor`, rotated, scaled and moved into the source's space.

    On the anchors, the tokens that source and donor share, with donor rows x [A, D'] and source rows y [A, D]: both are
    centred and written in their leading m = min(D', D) principal axes, P_x [D', m] and P_y [D, m]; W [m, m] is the
    orthogonal map between them and s the scale that fits best. A token's donor row d becomes
    mean_y + s (d - mean_x) P_x W P_y^T. Output rows are fitted anew, from the donor's output rows where it has its own.

    Anchors more than 8 times as long as the median one are left out. Tokens that the donor lacks, and special ones, are
    declined. `ValueError` if fewer than two anchors are left.
    """
    return _carried_over(gap, "procrustes", scaled=True)


def landmark(gap: Gap) -> Filled:
    """Rows of the space `donor`, rotated and moved into the source's space, at the donor's scale (PCA landmarks).

    As `procrustes` with s = 1: the donor's distances are kept.
    """
    return _carried_over(gap, "landmark", scaled=False)


@dataclass(frozen=True)
class _Similarity:
    """x -> (x - origin) turn + image, float64: `origin` [p], `turn` [p, q], `image` [q]."""

    origin: torch.Tensor
    turn: torch.Tensor
    image: torch.Tensor

    @classmethod
    def fitted(cls, x: torch.Tensor, y: torch.Tensor, scaled: bool) -> "_Similarity":
        """The map that carries x [n, p] to y [n, q]."""
        x, y = x.double(), y.double()
        origin, image = x.mean(0), y.mean(0)
        axes_x, axes_y = _principal_axes(x - origin), _principal_axes(y - image)
        width = min(axes_x.shape[1], axes_y.shape[1])
        if width == 0:
            raise ValueError(
                "all anchors have the same row, in the source or in transplant.spaces.donor: no map fits them"
            )
        axes_x, axes_y = axes_x[:, :width], axes_y[:, :width]
        inner_x, inner_y = (x - origin) @ axes_x, (y - image) @ axes_y
        turn = orthogonal_map(inner_x, inner_y)
        if scaled:
            turn = turn * ((inner_x @ turn) * inner_y).sum() / inner_x.square().sum()
        return cls(origin, axes_x @ turn @ axes_y.T, image)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return (x.double() - self.origin) @ self.turn + self.image


def _carried_over(gap: Gap, tier: str, scaled: bool) -> Filled:
    source, donor = gap.source, gap.space("donor")
    pairs = anchors(source, donor)
    done, vectors = vectors_of(donor, gap.tokens)
    ours, _ = well_behaved(source.rows, donor.rows, *pairs)
    notes = {"anchors": len(ours), "outliers": len(pairs[0]) - len(ours)}

    def carry(donor_rows: torch.Tensor, vectors: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        ours, theirs = well_behaved(rows, donor_rows, *pairs)
        x, y = donor_rows[torch.from_numpy(theirs)], rows[torch.from_numpy(ours)]
        return _Similarity.fitted(x, y, scaled)(vectors).to(rows.dtype)

    make = partial(carry, donor.rows, vectors)
    if source.output_rows is None or donor.output_rows is None or source.tied or donor.tied:
        return Filled(tier, done, make, notes=notes)

    has, output_vectors = output_vectors_of(donor, [gap.tokens[i] for i in np.flatnonzero(done).tolist()])

    def make_output(rows: torch.Tensor) -> torch.Tensor:
        assert donor.output_rows is not None
        new = rows.new_empty(len(has), rows.shape[1]) if has.all() else make(rows)
        if has.any():
            new[has] = carry(donor.output_rows, output_vectors, rows)
        return new

    return Filled(tier, done, make, make_output, notes=notes)


def _principal_axes(centred: torch.Tensor) -> torch.Tensor:
    """Principal axes [D, m] of centred rows [n, D], one a column, without those along which the rows do not vary."""
    squares, axes = torch.linalg.eigh(centred.T @ centred)
    kept = squares > _NO_VARIANCE**2 * squares[-1]
    return axes[:, kept].flip(1)
