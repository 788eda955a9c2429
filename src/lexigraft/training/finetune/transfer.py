"""First some word rows alone, then everything."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from lexigraft.models.active import active_ids
from lexigraft.models.classifier import Classifier
from lexigraft.models.stages import WORD_ROWS
from lexigraft.training.finetune.moving import HEAD, let_move, require_epochs
from lexigraft.training.strategy import Strategy
from lexigraft.transplant.provenance import COPIED, Provenance


@dataclass
class Transfer(Strategy):
    """For `epochs` epochs some word rows, the pooling and the heads alone, then everything.

    `rows`: the `new` ones, which a method of the transplant made, or the `transplanted` ones, which it copied from the
    source as they are. The others keep their bits in the first phase: their gradient is zero, which moves nothing in an
    optimizer without weight decay on them. One object serves one model at a time.
    `ValueError` for less than one epoch, and if the transplant has no such rows.
    """

    holds_rows: ClassVar[bool] = True  # so word rows must not decay

    rows: Literal["new", "transplanted"] = "new"
    epochs: int = 1
    _chosen: Tensor | None = field(default=None, init=False, repr=False, compare=False)
    _hook: RemovableHandle | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_epochs(self.epochs, "epochs")

    def prepare(self, model: Classifier, new_rows: Tensor | None = None) -> None:
        """Remember which rows move first; without `new_rows` the model can be used, but not trained."""
        self._chosen = None
        if new_rows is None:
            return
        self._chosen = new_rows if self.rows == "new" else ~new_rows
        if not self._chosen.any():
            how = "copied every row" if self.rows == "new" else "copied no row"
            raise ValueError(f"finetune.rows={self.rows} has no rows to train, as the transplant {how}: use another")

    def apply(self, model: Classifier, epoch: int) -> None:
        """Hold the other rows and the body in the first phase."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
        first = epoch < self.epochs
        let_move(model, lambda name: not first or name.startswith((WORD_ROWS, *HEAD)))
        if first:
            assert self._chosen is not None, "prepare() was not told which rows are new"
            rows, ids = model.embedding.lookup.weight, active_ids(model.embedding)
            moves = (self._chosen if ids is None else self._chosen[ids])[:, None]
            self._hook = rows.register_hook(lambda gradient: gradient * moves.to(gradient.device))


def new_rows(provenance: Provenance) -> Tensor:
    """Bool `[V]`: rows that the transplant made, rather than copied from the source."""
    return torch.from_numpy(~provenance.among(COPIED))
