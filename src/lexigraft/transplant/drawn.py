"""Rows for a model that begins with nothing."""

import numpy as np
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.embeddings.origin import origin, survey
from lexigraft.transplant.engine import Transplanted
from lexigraft.transplant.provenance import ProvenanceBuilder
from lexigraft.vocab.tokenizer import Tokenizer


def drawn(tokenizer: Tokenizer, dim: int, std: float, seed: int) -> Transplanted:
    """Rows `[V, dim]` from a normal distribution around 0; that of the padding token is zero.

    They depend on the sizes and on `seed` alone. `ValueError` for a standard deviation that is not above 0.
    """
    if not std > 0:
        raise ValueError(f"source.std is {std}; a standard deviation above 0 is expected, such as 0.02")
    rows = torch.randn(len(tokenizer.vocabulary), dim, generator=torch.Generator().manual_seed(seed)) * std
    rows[tokenizer.pad_id] = 0
    builder = ProvenanceBuilder(len(rows))
    builder.name("normal", np.arange(len(rows)))
    about = origin("drawn", "none", "", rows, survey(rows), {}, std=std)
    return Transplanted(
        EmbeddingMatrix(tokenizer.vocabulary, rows, about, tied=True, tokenizer=tokenizer), builder.build()
    )
