"""What is recorded about a matrix wherever it came from: a hash of its rows, their shape, what was repaired."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

_CHUNK_BYTES = 1 << 22


@dataclass(frozen=True)
class Survey:
    """One pass over rows `[V, D]`: SHA-256 of their bytes, and how many hold NaN or infinity, or only zeros."""

    sha256: str
    not_finite: int
    zero: int


def survey(rows: torch.Tensor) -> Survey:
    """Hash and check rows `[V, D]` chunk by chunk, so that a mapped file is read once and little is allocated."""
    digest, not_finite, zero = hashlib.sha256(), 0, 0
    step = max(1, _CHUNK_BYTES // max(1, rows.shape[1] * rows.element_size()))
    for start in range(0, len(rows), step):
        chunk = rows[start : start + step].contiguous()
        digest.update(chunk.view(torch.uint8).numpy().data)
        largest = torch.linalg.vector_norm(chunk, ord=float("inf"), dim=1)  # NaN and infinity survive it
        not_finite += int((~torch.isfinite(largest)).sum())
        zero += int((largest == 0).sum())
    return Survey(digest.hexdigest(), not_finite, zero)


def origin(
    reader: str, name: str, path: str | Path, rows: torch.Tensor, found: Survey, repairs: dict[str, int], **more: Any
) -> dict[str, Any]:
    """The `origin` of an `EmbeddingMatrix`, in plain values; `more` is what only this reader knows."""
    return {
        "reader": reader,
        "name": name,
        "path": str(path),
        **more,
        "sha256": found.sha256,
        "rows": rows.shape[0],
        "dim": rows.shape[1],
        "dtype": str(rows.dtype).removeprefix("torch."),
        "repairs": {**repairs, "zero_rows": found.zero},
    }
