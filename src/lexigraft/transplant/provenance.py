"""Where every transplanted row came from, and a summary of it by type and by corpus frequency."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lexigraft.transplant.filling import Combination

PADDING = "padding"
# Tiers whose rows carry what the source knows about the token itself.
TRANSFERRED = ("role", "exact", "surface", "normalised", "subtokens", "subwords")


@dataclass(frozen=True)
class Provenance:
    """Per target token: the tier that made its row, and the source rows and weights that it is made of.

    `tier` uint8 [T] indexes `tiers`. `made_of` has an empty sum for rows that are not sums of source rows.
    """

    tiers: tuple[str, ...]
    tier: np.ndarray
    made_of: Combination

    def count(self, weight: np.ndarray | None = None) -> dict[str, int]:
        """Tokens per tier, or, with corpus counts `weight` [T], occurrences per tier."""
        totals = np.bincount(self.tier, weights=weight, minlength=len(self.tiers))
        return {name: int(n) for name, n in zip(self.tiers, totals) if n}

    def save(self, path: Path) -> None:
        """Write the arrays as a compressed .npz (keys tiers, tier, start, source, weight)."""
        made = self.made_of
        np.savez_compressed(
            path,
            tiers=np.array(self.tiers),
            tier=self.tier,
            start=made.start,
            source=made.source,
            weight=made.weight,
        )


class ProvenanceBuilder:
    """Collects the provenance of T rows, a group of rows at a time."""

    def __init__(self, count: int) -> None:
        self._tiers: list[str] = []
        self._tier = np.full(count, 255, np.uint8)
        self._sums: list[tuple[np.ndarray, Combination]] = []

    def name(self, tier: str, ids: np.ndarray) -> None:
        """Rows `ids` were made by `tier`, not as sums of source rows."""
        if tier not in self._tiers:
            self._tiers.append(tier)
        self._tier[ids] = self._tiers.index(tier)

    def combine(self, tier: str, ids: np.ndarray, combination: Combination) -> None:
        """Rows `ids` are the sums of `combination`, in order."""
        self.name(tier, ids)
        self._sums.append((ids, combination))

    def build(self) -> Provenance:
        """The provenance; every row must have been named."""
        assert (self._tier != 255).all(), "a row was left without provenance"
        length = np.zeros(len(self._tier), np.int64)
        for ids, c in self._sums:
            length[ids] = np.diff(c.start)
        start = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
        source, weight = np.zeros(start[-1], np.int64), np.zeros(start[-1], np.float32)
        for ids, c in self._sums:
            into = np.repeat(start[ids] - c.start[:-1], np.diff(c.start)) + np.arange(len(c.source))
            source[into], weight[into] = c.source, c.weight
        return Provenance(tuple(self._tiers), self._tier, Combination(start, source, weight))


def summarise(
    provenance: Provenance, source_rows: torch.Tensor, rows: torch.Tensor, counts: np.ndarray | None = None
) -> dict[str, Any]:
    """Coverage by type and, given corpus `counts` [T], by occurrence; rows per tier; norms before and after.

    Coverage is the share of tokens (padding apart) whose row carries what the source knows about them.
    """
    summary: dict[str, Any] = {
        "source_tokens": len(source_rows),
        "target_tokens": len(rows),
        "dim": rows.shape[1],
        "tokens_per_tier": provenance.count(),
        "coverage_of_types": _coverage(provenance.count()),
        "norm_of_source_rows": _norms(source_rows),
        "norm_of_new_rows": _norms(rows),
        "zero_rows": int((rows == 0).all(1).sum()),
    }
    if counts is not None:
        occurrences = provenance.count(counts)
        summary["occurrences_per_tier"] = occurrences
        summary["coverage_of_occurrences"] = _coverage(occurrences)
    return summary


def _coverage(per_tier: dict[str, int]) -> float | None:
    total = sum(n for tier, n in per_tier.items() if tier != PADDING)
    return None if total == 0 else round(sum(per_tier.get(t, 0) for t in TRANSFERRED) / total, 6)


def _norms(rows: torch.Tensor) -> dict[str, float]:
    norms = rows.float().norm(dim=1)
    return {"mean": round(norms.mean().item(), 6), "std": round(norms.std(correction=0).item(), 6)}
