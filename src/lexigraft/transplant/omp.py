"""Rows written as sums of a few other rows: with the coefficients that write the same token in a donor's space."""

from typing import Any

import numpy as np
import torch

from lexigraft.transplant.donor import anchors, output_vectors_of, vectors_of, well_behaved
from lexigraft.transplant.filling import Combination, Filled, Gap
from lexigraft.transplant.matching_pursuit import pursue

_Sums = tuple[np.ndarray, np.ndarray]  # source ids int64 [N, k] and weights float64 [N, k], 0 where there are fewer


def omp(gap: Gap, k: int = 64, gram_gb: float = 4.0) -> Filled:
    """Orthogonal matching pursuit in the space `donor` (Goddard and Fernandes Neto, 2025, arXiv 2506.06607).

    A token's donor row d [D'] is written as a sum of at most k rows of tokens that source and donor share, the anchors:
    d ~ sum_i x_i d_i, chosen greedily, x by least squares. Its new row is sum_i x_i s_i over the anchors' source rows
    s_i [D]. Where source and donor both have output rows of their own, the output row is made of a second pursuit in
    the donor's output space.

    Anchors more than 8 times as long as the median one, in the source or in the donor, are left out: they would drown
    the others. Tokens that the donor lacks, and special ones, are declined. `gram_gb` is the most memory (GiB) for the
    anchors' inner products: 4 GiB serve 32,768 anchors, and more of them are worked on a tenth as fast. `ValueError` if
    k is not positive or fewer than two anchors are left.
    """
    if k < 1:
        raise ValueError(f"omp was given k={k}: a row is made of at least 1 other row")
    source, donor = gap.source, gap.space("donor")
    gram_bytes = int(gram_gb * 2**30)
    ours, theirs = anchors(source, donor)
    known, targets = vectors_of(donor, gap.tokens)
    sums, notes = _written(targets, donor.rows, source.rows, ours, theirs, k, gram_bytes)
    some = (sums[1] != 0).any(1)
    done = known.copy()
    done[known] = some
    ids, weights = sums[0][some], sums[1][some]
    output = None
    if source.output_rows is not None and donor.output_rows is not None and not (source.tied or donor.tied):
        has, targets = output_vectors_of(donor, [gap.tokens[i] for i in np.flatnonzero(done).tolist()])
        sums, found = _written(targets.float(), donor.output_rows, source.output_rows, ours, theirs, k, gram_bytes)
        output_ids, output_weights = ids.copy(), weights.copy()  # of the input row, where the donor has no output row
        some = (sums[1] != 0).any(1)
        has[has] = some
        output_ids[has], output_weights[has] = sums[0][some], sums[1][some]
        output = Combination.of_dense(output_ids, output_weights)
        notes |= {f"output {name}": figure for name, figure in found.items()}
    return Filled("omp", done, Combination.of_dense(ids, weights), output, notes=notes)


def _written(
    targets: torch.Tensor,
    donor_rows: torch.Tensor,
    source_rows: torch.Tensor,
    ours: np.ndarray,
    theirs: np.ndarray,
    k: int,
    gram_bytes: int,
) -> tuple[_Sums, dict[str, Any]]:
    """Targets [N, D'] as sums of source rows with the donor's coefficients, and figures about them."""
    pairs = len(ours)
    ours, theirs = well_behaved(source_rows, donor_rows, ours, theirs)
    found = pursue(targets, donor_rows[torch.from_numpy(theirs)].float(), k, gram_bytes=gram_bytes)
    ids, weights = np.zeros((len(targets), k), np.int64), np.zeros((len(targets), k))
    width = found.ids.shape[1]
    ids[:, :width] = ours[found.ids.clamp(min=0).numpy()]
    weights[:, :width] = found.coefficients.numpy()
    notes = {"anchors": len(ours), "outliers": pairs - len(ours)}
    if len(targets) == 0:
        return (ids, weights), notes
    figures = {"residual": float(found.residuals.mean()), "largest coefficient": float(np.abs(weights).max())}
    return (ids, weights), notes | figures
