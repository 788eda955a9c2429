"""L2-SP: the embedding rows are pulled back to where the transplant put them."""

from typing import Literal

import torch
from torch import Tensor

from lexigraft.models.active import active_ids
from lexigraft.models.classifier import Classifier
from lexigraft.training.regularise.regulariser import Regulariser
from lexigraft.training.step import Step


class L2ToSource(Regulariser):
    """`weight` times the sum over rows of |row - row at the start|^2 (L2-SP, Li et al. 2018).

    `rows`: "all", or "copied", those that the transplant took over as they were, so that made rows move freely. Rows
    that nothing else moves feel no pull: training the active rows alone is the same. `ValueError` unless weight > 0.
    """

    pulls_rows = True

    def __init__(self, weight: float = 1e-3, rows: Literal["all", "copied"] = "all"):
        super().__init__()
        if not weight > 0:
            raise ValueError(f"regularise.l2_to_source.weight={weight} was given; a number above 0 is expected")
        self.weight, self.rows = weight, rows
        # No buffers: the rows are those of the transplant again when a run is resumed.
        self._source: Tensor | None = None
        self._pulled: Tensor | None = None

    def start(self, model: Classifier, new_rows: Tensor | None = None) -> None:
        """Remember the rows, before any checkpoint is loaded and after inactive rows were taken out."""
        self._source = model.embedding.lookup.weight.detach().clone()
        if self.rows == "all":
            return
        if new_rows is None:
            raise ValueError(
                "regularise.l2_to_source.rows=copied was given, but it is not known which rows the transplant copied: "
                "use rows=all"
            )
        active = active_ids(model.embedding)
        made = new_rows if active is None else new_rows[active]
        assert len(made) == len(self._source)
        self._pulled = ~made.bool().unsqueeze(-1)

    def term(self, step: Step) -> Tensor | None:
        """The pull; None while the embedding is frozen, and in parts of a batch but the last."""
        rows = step.model.embedding.lookup.weight
        if not (rows.requires_grad and step.completes):
            return None
        assert self._source is not None, "start comes first"
        assert self._source.shape == rows.shape, "rows were taken out after the start"
        if self._source.device != rows.device:
            self._source = self._source.to(rows.device)
            self._pulled = None if self._pulled is None else self._pulled.to(rows.device)
        apart = rows - self._source
        if self._pulled is not None:
            apart = torch.where(self._pulled, apart, 0.0)
        return self.weight * apart.float().square().sum()
