"""What is recorded about a matrix wherever it came from: a hash of its rows, their shape, what was repaired."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

# Numbers that are checked together: fewer than the 32,768 from which torch divides an operation among threads, whose
# waiting for one another takes far longer than the check where the cores are busy.
_CHECKED = 30_000
_HASHED = 1 << 25


@dataclass(frozen=True)
class Survey:
    """Of rows `[V, D]`: how many hold NaN or infinity, or only zeros, and the SHA-256 of their bytes."""

    not_finite: int
    zero: int
    _digest: Future[str]

    @property
    def sha256(self) -> str:
        """Waits for the hash, which another thread computes."""
        return self._digest.result()


def survey(rows: torch.Tensor) -> Survey:
    """Check rows `[V, D]`, then begin to hash them in another thread: what follows need not wait for the hash."""
    not_finite, zero = unsound(rows)
    hasher = ThreadPoolExecutor(1)
    digest = hasher.submit(_sha256, rows)
    hasher.shutdown(wait=False)
    return Survey(not_finite, zero, digest)


def unsound(rows: torch.Tensor) -> tuple[int, int]:
    """How many of the rows `[V, D]` hold NaN or infinity, and how many only zeros."""
    largest = rows.new_empty(len(rows))  # NaN and infinity survive it
    for start, chunk in _chunks(rows, _CHECKED):
        torch.amax(chunk.abs(), dim=1, out=largest[start : start + len(chunk)])
    return int((~torch.isfinite(largest)).sum()), int((largest == 0).sum())


def _sha256(rows: torch.Tensor) -> str:
    digest = hashlib.sha256()
    for _, chunk in _chunks(rows, _HASHED):
        digest.update(chunk.contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _chunks(rows: torch.Tensor, numbers: int) -> Iterator[tuple[int, torch.Tensor]]:
    """The rows in pieces of at most so many numbers (or of one row), without a copy, and where each piece starts."""
    step = max(1, numbers // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        yield start, rows[start : start + step]


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
