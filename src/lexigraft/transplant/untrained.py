"""Source tokens whose rows were hardly trained, told from the rows alone.

Land & Bartolo (2024), "Fishing for Magikarp": such rows are short, lie close to the mean row (where new rows are
commonly started), or close to the mean of rows that are known to be unused. Their candidates are then checked by
prompting the model; a matrix has no model to prompt, so the thresholds here ask for a clear gap instead.
"""

import numpy as np
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.vocab.vocabulary import UNUSED

# A norm, or a distance from the mean row, below this share of the median is no trained row's.
SMALL = 0.3
# So many unused rows give a mean to compare with. Their own distances from it must end clearly before the others'.
ENOUGH_UNUSED, GAP = 10, 1.15

_ROWS_AT_A_TIME = 4096


def untrained(source: EmbeddingMatrix) -> dict[int, str]:
    """Ordinary tokens whose input or output row looks untrained: id -> why, the clearest cases first."""
    tokens = source.vocabulary.tokens
    unreachable = source.vocabulary.unreachable
    ordinary = np.array([t.role is None and i not in unreachable for i, t in enumerate(tokens)])
    unused = np.array([t.role == UNUSED or i in unreachable or _no_utf8(t.surface) for i, t in enumerate(tokens)])
    found: dict[int, tuple[float, str]] = {}
    for rows, what in ((source.rows, "row"), (source.output_rows, "output row")):
        if rows is not None:
            for i, case in _of_rows(rows, ordinary & ~unused, unused, what).items():
                found[i] = min(case, found.get(i, case))
    return {i: why for i, (_, why) in sorted(found.items(), key=lambda item: (item[1][0], item[0]))}


def _of_rows(rows: torch.Tensor, ordinary: np.ndarray, unused: np.ndarray, what: str) -> dict[int, tuple[float, str]]:
    """id -> (a measure that is 0 for the clearest case and 1 at the threshold, why)."""
    norms = _distances(rows, torch.zeros(rows.shape[1]))
    ordinary, unused = ordinary & np.isfinite(norms), unused & np.isfinite(norms) & (norms > 0)
    if ordinary.sum() < 2:
        return {}
    measures = [
        (norms / max(SMALL * float(np.median(norms[ordinary])), 1e-30), f"short {what}"),
        (_to_mean(rows, ordinary, SMALL), f"{what} close to the mean"),
    ]
    if unused.sum() >= ENOUGH_UNUSED:
        distances = _distances(rows, _mean(rows, unused))
        limit = float(np.quantile(distances[unused], 0.95))
        if limit * GAP < np.median(distances[ordinary]):
            measures.append((distances / limit, f"{what} like the unused ones"))
    found: dict[int, tuple[float, str]] = {}
    for measure, why in measures:
        for i in np.flatnonzero(ordinary & (measure < 1)).tolist():
            found[i] = min((float(measure[i]), why), found.get(i, (1.0, why)))
    return found


def _to_mean(rows: torch.Tensor, ordinary: np.ndarray, share: float) -> np.ndarray:
    distances = _distances(rows, _mean(rows, ordinary))
    return np.asarray(distances / max(share * float(np.median(distances[ordinary])), 1e-30))


def _mean(rows: torch.Tensor, which: np.ndarray) -> torch.Tensor:
    total, ids = torch.zeros(rows.shape[1], dtype=torch.float64), np.flatnonzero(which)
    for start in range(0, len(ids), _ROWS_AT_A_TIME):
        total += rows[ids[start : start + _ROWS_AT_A_TIME]].double().sum(0)
    return (total / max(1, len(ids))).float()


def _distances(rows: torch.Tensor, point: torch.Tensor) -> np.ndarray:
    """Of each row `[V, D]` from a point `[D]`, float32 [V]."""
    found = torch.empty(len(rows))
    for start in range(0, len(rows), _ROWS_AT_A_TIME):
        part = slice(start, start + _ROWS_AT_A_TIME)
        found[part] = torch.linalg.vector_norm(rows[part].float() - point, dim=1)
    return found.numpy()


def _no_utf8(surface: bytes) -> bool:
    """Whether a byte is in it that no text in UTF-8 has."""
    return any(byte in (0xC0, 0xC1) or byte >= 0xF5 for byte in surface)
