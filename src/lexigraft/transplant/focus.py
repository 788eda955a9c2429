"""FOCUS: new tokens as sparse mixtures of shared ones, by similarity in a space of the target's own tokens."""

import numpy as np
import torch

from lexigraft.transplant.corpus import tokenised
from lexigraft.transplant.donor import of_tokens
from lexigraft.transplant.fasttext_space import train_fasttext
from lexigraft.transplant.filling import Combination, Filled, Gap
from lexigraft.transplant.neighbours import vectors
from lexigraft.transplant.sparsemax import sparse_weights


def focus(gap: Gap, dim: int = 100, epochs: int = 3, min_count: int = 10, negative: int = 10) -> Filled:
    """FOCUS (Dobler & de Melo 2023): row(t) = sum over the overlap of w_o S[o], w = sparsemax(cos(f_t, f_o)).

    f `[T, dim]` are fastText vectors trained on the texts as the target tokenises them, or the static vectors of the
    space `donor` where one is given. Tokens without a vector (rarer than `min_count`) and special tokens are declined.
    `ValueError` where there are no texts, or no shared token has a vector.
    """
    if "donor" in gap.spaces:
        space = _static(gap)
    else:
        seed = int(torch.randint(2**31, (1,), generator=gap.generator))
        corpus = tokenised(gap.target, gap.need_texts("FOCUS"))
        space = train_fasttext(
            corpus, gap.target.vocabulary.tokens, seed, dim=dim, epochs=epochs, min_count=min_count, negative=negative
        )
    usable = np.zeros(len(space), dtype=bool)
    usable[vectors(space)[0].numpy()] = True
    known = usable[gap.shared_target]
    if not known.any():
        raise ValueError(
            f"FOCUS mixes rows of shared tokens, but none of the {len(known)} tokens that both vocabularies share has "
            f"a vector: give more texts, a lower min_count, or another donor"
        )
    done = (usable & gap.target.vocabulary.ordinary)[gap.ids]
    mixed = sparse_weights(space[gap.ids[done]], space[gap.shared_target[known]])
    rows = Combination(mixed.start, gap.shared_source[known][mixed.source], mixed.weight)
    notes = {"shared tokens with a vector": int(known.sum()), "tokens without a vector": int((~done).sum())}
    return Filled("focus", done, rows, notes=notes)


def _static(gap: Gap) -> torch.Tensor:
    """The donor's rows of the target's tokens, float32 `[T, D]`; zero where it has none."""
    donor = gap.spaces["donor"]
    found = of_tokens(donor, gap.target.vocabulary.tokens)
    space = torch.zeros(len(found), donor.dim)
    has = torch.from_numpy(found >= 0)
    space[has] = donor.rows[torch.from_numpy(found)[has]].float()
    return space
