"""Gaps as the engine makes them, without the engine."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.transplant.filling import Gap
from lexigraft.vocab.alignment import EXACT, SURFACE, align
from lexigraft.vocab.tokenizer import Tokenizer


def make_gap(
    source: EmbeddingMatrix,
    target: Tokenizer,
    texts: Sequence[str] = (),
    spaces: Mapping[str, EmbeddingMatrix] | None = None,
    seed: int = 0,
    hide: int = 0,
) -> Gap:
    """The target tokens that the source lacks, and the last `hide` of those that both have as if it lacked them too."""
    alignment = align(source.vocabulary, target.vocabulary)
    shared = np.flatnonzero(np.isin(alignment.tier, (EXACT, SURFACE)))
    shared, hidden = shared[: len(shared) - hide], shared[len(shared) - hide :]
    return Gap(
        source=source,
        target=target,
        ids=np.sort(np.concatenate([np.flatnonzero(alignment.tier == 0), hidden])),
        shared_source=alignment.source_id[shared],
        shared_target=shared,
        texts=texts,
        spaces=spaces or {},
        generator=torch.Generator().manual_seed(seed),
    )
