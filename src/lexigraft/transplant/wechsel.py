"""WECHSEL: tokens of another language as mixtures of source tokens that mean the same."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.transplant.dictionary import paired
from lexigraft.transplant.filling import Combination, Filled, Gap
from lexigraft.transplant.neighbours import nearest
from lexigraft.transplant.procrustes import orthogonal_map
from lexigraft.transplant.word_space import token_vectors


def wechsel(gap: Gap, dictionary: str | Path, neighbours: int = 10, temperature: float = 0.1) -> Filled:
    """WECHSEL (Minixhofer et al. 2022): row(t) = sum over the `neighbours` source tokens s nearest to t of w_s S[s],
    w = softmax(cos(u_t, v_s) / `temperature`).

    u `[N, D]` and v `[V, D]` are the tokens' vectors (`token_vectors`) in the spaces `target_space` and `source_space`,
    which the orthogonal map that brings the words of the `dictionary` together makes one; the words count alike,
    whatever their norms, and the space of fewer dimensions is mapped into the other. Tokens without a vector and
    special tokens are declined. `ValueError` where a space is missing or the dictionary pairs none of their words.
    """
    source_space, target_space = gap.space("source_space"), gap.space("target_space")
    source_words, target_words = paired(dictionary, source_space, target_space)
    x, y = _unit(source_space.rows, source_words), _unit(target_space.rows, target_words)
    source_ids, source = source_vectors(gap, source_space)
    target = token_vectors(target_space, gap.target.vocabulary, gap.target, gap.ids)
    if source_space.dim <= target_space.dim:
        source = (source.double() @ orthogonal_map(x, y)).float()
    else:
        target = (target.double() @ orthogonal_map(y, x)).float()
    notes = {"dictionary pairs in both spaces": len(source_words)}
    return by_similarity(gap, "wechsel", source_ids, source, target, neighbours, temperature, notes)


def source_vectors(gap: Gap, space: EmbeddingMatrix) -> tuple[np.ndarray, torch.Tensor]:
    """Ids of the source's ordinary tokens that its tokenizer produces, and their vectors in a space of words."""
    vocabulary = gap.source.vocabulary
    ids = np.array(
        [i for i, t in enumerate(vocabulary) if t.role is None and i not in vocabulary.unreachable], np.int64
    )
    return ids, token_vectors(space, vocabulary, gap.source.tokenizer, ids)


def by_similarity(
    gap: Gap,
    tier: str,
    source_ids: np.ndarray,
    source: torch.Tensor,
    target: torch.Tensor,
    neighbours: int,
    temperature: float,
    notes: Mapping[str, Any],
) -> Filled:
    """Rows of the gap's tokens, whose vectors are `target` `[N, D]`, out of those of `source_ids`, `source` `[n, D]`.

    Weights are softmax(cosine / temperature) over the nearest; a token whose vector is zero is declined.
    """
    if temperature <= 0:
        raise ValueError(f"temperature={temperature} of {tier} should be a positive number, such as 0.1")
    found, cosine = (answer.numpy() for answer in nearest(target, source, neighbours))
    done = found[:, 0] >= 0
    if not done.any() and len(done):
        raise ValueError(
            f"{tier} found no vector for any of {len(done)} target tokens, or for any source token: are the spaces of "
            f"the languages of the two vocabularies?"
        )
    logits = cosine[done].astype(np.float64)
    weight = np.exp((logits - logits[:, :1]) / temperature)  # the first is the greatest; no neighbour: exp(-inf) = 0
    weight /= weight.sum(1, keepdims=True)
    rows = Combination.of_dense(source_ids[found[done]], weight)
    told = {**notes, "tokens without a vector": int((~done).sum())}
    return Filled(tier, done, rows, notes=told)


def _unit(rows: torch.Tensor, ids: np.ndarray) -> torch.Tensor:
    """These rows at length one, float64 `[P, D]`."""
    return torch.nn.functional.normalize(rows[torch.from_numpy(ids)].double(), dim=1)
