"""What a donor, a further matrix, has in common with the source and with the tokens that lack a row."""

from collections.abc import Sequence

import numpy as np
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.vocab.alignment import EXACT, SURFACE, align
from lexigraft.vocab.vocabulary import Token, Vocabulary

OUTLIER = 8.0  # times the median norm
_CHUNK = 16384


def anchors(source: EmbeddingMatrix, donor: EmbeddingMatrix) -> tuple[np.ndarray, np.ndarray]:
    """The ids (int64 [A] each, by rising source id) of the ordinary tokens that both have, pair by pair.

    A pair has the same bytes (tiers exact and surface), a finite non-zero row on both sides, and tokens that their
    tokenizers do produce: the rows of others were never trained. No token stands in two pairs.
    """
    alignment = align(source.vocabulary, donor.vocabulary, normalised=False)
    theirs = np.flatnonzero(np.isin(alignment.tier, (EXACT, SURFACE)))
    ours = alignment.source_id[theirs]
    kept = ~_isin(ours, source.vocabulary.unreachable) & ~_isin(theirs, donor.vocabulary.unreachable)
    ours, theirs = ours[kept], theirs[kept]
    kept = usable(source.rows, ours) & usable(donor.rows, theirs)
    ours, theirs = ours[kept], theirs[kept]
    by_tier = np.argsort(alignment.tier[theirs], kind="stable")  # of the donor's tokens for one source token
    ours, theirs = ours[by_tier], theirs[by_tier]
    ours, first = np.unique(ours, return_index=True)
    return ours, theirs[first]


def of_tokens(donor: EmbeddingMatrix, tokens: Sequence[Token]) -> np.ndarray:
    """Ids (int64 [N]) of N tokens in the donor, by bytes; -1 where it lacks one or has no finite non-zero row for it.

    Special tokens get -1 too.
    """
    alignment = align(donor.vocabulary, Vocabulary(tuple(tokens)), normalised=False)
    found = np.where(np.isin(alignment.tier, (EXACT, SURFACE)), alignment.source_id, -1)
    has = np.flatnonzero(found >= 0)
    found[has[~usable(donor.rows, found[has])]] = -1
    return found


def vectors_of(donor: EmbeddingMatrix, tokens: Sequence[Token]) -> tuple[np.ndarray, torch.Tensor]:
    """Which of N tokens the donor knows (bool [N], n of them true) and their rows (float32 [n, D]).

    A donor with subword vectors (fastText) also knows the surfaces that it can compose.
    """
    ids = of_tokens(donor, tokens)
    rows = torch.zeros(len(tokens), donor.dim)
    known = ids >= 0
    rows[known] = donor.rows[torch.from_numpy(ids[known])].float()
    if donor.compose is not None:
        for i in np.flatnonzero(~known).tolist():
            row = donor.compose(tokens[i].text) if tokens[i].text else None
            if row is not None and bool(torch.isfinite(row).all() and (row != 0).any()):
                rows[i], known[i] = row, True
    return known, rows[known]


def output_vectors_of(donor: EmbeddingMatrix, tokens: Sequence[Token]) -> tuple[np.ndarray, torch.Tensor]:
    """Which of N tokens have a finite non-zero output row in the donor (bool [N], n of them true), and these [n, D]."""
    assert donor.output_rows is not None
    ids = of_tokens(donor, tokens)
    has = ids >= 0
    has[has] = usable(donor.output_rows, ids[has])
    return has, donor.output_rows[torch.from_numpy(ids[has])]


def usable(rows: torch.Tensor, ids: np.ndarray) -> np.ndarray:
    """Bool [N]: which of the rows `ids` are finite and not zero."""
    found = np.empty(len(ids), dtype=bool)
    for i in range(0, len(ids), _CHUNK):
        block = rows[torch.from_numpy(ids[i : i + _CHUNK])]
        found[i : i + _CHUNK] = (torch.isfinite(block).all(1) & (block != 0).any(1)).numpy()
    return found


def well_behaved(
    source_rows: torch.Tensor, donor_rows: torch.Tensor, ours: np.ndarray, theirs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The anchors whose rows are finite, not zero, and on neither side over `OUTLIER` times as long as the median one.

    `ValueError` if fewer than two are left.
    """
    kept = usable(source_rows, ours) & usable(donor_rows, theirs)
    ours, theirs = ours[kept], theirs[kept]
    if len(ours):
        kept = _of_ordinary_norm(source_rows, ours) & _of_ordinary_norm(donor_rows, theirs)
        ours, theirs = ours[kept], theirs[kept]
    if len(ours) < 2:
        raise ValueError(
            f"the source and transplant.spaces.donor share {len(ours)} ordinary tokens with usable rows, and at least "
            "2 are needed: give a donor that has tokens of the source's vocabulary too"
        )
    return ours, theirs


def _of_ordinary_norm(rows: torch.Tensor, ids: np.ndarray) -> np.ndarray:
    blocks = [rows[torch.from_numpy(ids[i : i + _CHUNK])] for i in range(0, len(ids), _CHUNK)]
    norms = torch.cat([block.double().norm(dim=1) for block in blocks])
    return (norms <= OUTLIER * norms.median()).numpy()


def _isin(ids: np.ndarray, of: frozenset[int]) -> np.ndarray:
    return np.isin(ids, np.fromiter(of, np.int64, len(of)))
