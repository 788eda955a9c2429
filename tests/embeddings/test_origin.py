"""A survey of rows: hash, damage, zeros."""

import hashlib

import pytest
import torch

from lexigraft.embeddings import origin
from lexigraft.embeddings.origin import survey


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("chunk", [1, 100, 30_000])
def test_survey(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, chunk: int) -> None:
    monkeypatch.setattr(origin, "_CHECKED", chunk)
    monkeypatch.setattr(origin, "_HASHED", chunk)
    rows = torch.randn(50, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    rows[3] = 0
    rows[4] = torch.finfo(dtype).tiny  # small, but not zero
    rows[7, 2] = float("nan")
    rows[9, 0] = -float("inf")
    rows[10] = float("nan")
    found = survey(rows)
    assert (found.not_finite, found.zero) == (3, 1)
    assert found.sha256 == hashlib.sha256(rows.view(torch.uint8).numpy().tobytes()).hexdigest()
    assert survey(torch.stack([rows, rows], dim=2)[:, :, 0]).sha256 == found.sha256
