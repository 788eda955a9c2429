"""The rows of a checkpoint's new vocabulary: one per token, and those that no text ever asks for."""

from dataclasses import dataclass

import numpy as np
import torch

from lexigraft.surgery.ids import extends
from lexigraft.transplant.provenance import Provenance
from lexigraft.vocab.vocabulary import UNUSED, Vocabulary


@dataclass(frozen=True)
class RowPlan:
    """Which of the `size` new rows are as made, which are the source's own, and which stand for nothing.

    `made` and `kept` are int64 ids, the same in both vocabularies for `kept`. All other rows are filler: padding of
    the matrix, and a padding token that the source lacks. A filler input or output row is the mean of the others, its
    bias the smallest; so its logit is at most the mean of all logits and never the largest.
    """

    size: int
    made: np.ndarray
    kept: np.ndarray

    def rows(self, old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        """New matrix `[size, D]` of the source's `[V, D]` and the transplanted `[T, D]`."""
        made = new[torch.from_numpy(self.made)]
        return self._placed(old, made, made.mean(0, dtype=torch.float32).to(new.dtype))

    def bias(self, old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        """New bias `[size]` of the source's `[V]` and the transplanted `[T]`."""
        made = new[torch.from_numpy(self.made)]
        return self._placed(old, made, made.min())

    def _placed(self, old: torch.Tensor, made: torch.Tensor, filler: torch.Tensor) -> torch.Tensor:
        placed = filler.expand(self.size, *made.shape[1:]).clone()
        placed[torch.from_numpy(self.made)] = made
        placed[torch.from_numpy(self.kept)] = old[torch.from_numpy(self.kept)].to(made.dtype)
        return placed


def plan_rows(source: Vocabulary, target: Vocabulary, provenance: Provenance, multiple: int) -> RowPlan:
    """The rows for a target vocabulary, their number rounded up to a `multiple`.

    Where the target has all the source's tokens at their ids, the source's surplus rows (padding to a round number)
    stay, bit for bit, as far as no new token needs them; so do ids that no token claims in either vocabulary.
    """
    surplus = len(source) if extends(source, target) else 0
    size = -(-max(len(target), surplus) // multiple) * multiple
    unclaimed = [i for i in range(min(len(source), len(target))) if source[i].role == target[i].role == UNUSED]
    kept = np.array([*unclaimed, *range(len(target), surplus)], dtype=np.int64)
    made = np.flatnonzero(~provenance.among(("padding",)))
    return RowPlan(size, np.setdiff1d(made, kept), kept)
