"""New rows as the mean of all shared tokens, weighted by their likeness in a small helper model."""

from dataclasses import dataclass

import torch

from lexigraft.transplant.donor import anchors, vectors_of
from lexigraft.transplant.filling import Combination, Filled, Gap
from lexigraft.transplant.neighbours import full_precision, nearest, units, vectors

STRONGEST = 10  # shared tokens that provenance names
LEAST = 1e-4  # the greatest cosine of a token that is served: below, rounding decides
QUERIES, KEYS = 1024, 4096  # per block


def clp(gap: Gap) -> Filled:
    """CLP-Transfer (Ostendorff & Rehm 2023): row(t) = sum over all O of cos(t, o) S[o] / sum over all O of cos(t, o).

    O are the tokens that source and `donor` share, the cosines are between the donor's rows; the donor is a small model
    of the target language, or any vectors. The paper has no rule for negative cosines, under which the sum may come
    near 0 and the row grow without bound: they weigh nothing here. Output rows have the same weights. Special tokens,
    those without a vector in the donor and those with no cosine above 0.0001 are declined.

    No table of N x O weights is held. Provenance, and the output bias, have the 10 shared tokens of the greatest
    weights, these normalised to sum 1.
    """
    donor = gap.space("donor")
    source_ids, donor_ids = anchors(gap.source, donor)
    done, asked = vectors_of(donor, gap.tokens)
    keys = donor.rows[torch.from_numpy(donor_ids)]
    ids, cosines = nearest(asked, keys, STRONGEST)
    served = cosines[:, 0] > LEAST
    cosines.clamp_(min=0)
    done = done.copy()
    done[done] = served.numpy()
    strongest = cosines[served] / cosines[served].sum(1, keepdim=True)
    return Filled(
        "clp",
        done,
        _LikenessMean(asked[served], keys, torch.from_numpy(source_ids)),
        made_of=Combination.of_dense(source_ids[ids[served].clamp(min=0).numpy()], strongest.numpy()),
        notes={"anchors": len(donor_ids), "tokens without a vector": int((~done).sum())},
    )


@dataclass(frozen=True)
class _LikenessMean:
    """Means of the source rows `of` [O], weighted by the cosines of the donor's `asked` [n, D] and `keys` [O, D]."""

    asked: torch.Tensor
    keys: torch.Tensor
    of: torch.Tensor

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """[n, D'] of source rows [V, D'], added up in float32, in their dtype."""
        usable, key_norms = vectors(self.keys)
        _, norms = vectors(self.asked)
        sums = torch.zeros(len(self.asked), rows.shape[1])
        weight = torch.zeros(len(self.asked), 1, dtype=torch.float64)
        with full_precision():
            for block in usable.split(KEYS):
                key, row = units(self.keys, key_norms, block), rows[self.of[block]].float()
                for at in torch.arange(len(self.asked)).split(QUERIES):
                    cosines = (units(self.asked, norms, at) @ key.T).clamp_(min=0)
                    sums[at] += cosines @ row
                    weight[at] += cosines.sum(1, keepdim=True, dtype=torch.float64)
        return (sums / weight).to(rows.dtype)
