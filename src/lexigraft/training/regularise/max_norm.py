"""Max-norm: the weight rows of the heads are cut back to a length."""

import torch

from lexigraft.models.classifier import Classifier
from lexigraft.training.regularise.regulariser import Regulariser


class MaxNorm(Regulariser):
    """After each step, weight rows of the heads longer than `limit` are shortened to it (Hinton et al. 2012; Kim 2014).

    The norm is L2, of the row `[W]` of one output; biases are left alone. Nothing is added to the loss.
    `ValueError` unless limit > 0.
    """

    def __init__(self, limit: float = 3.0):
        super().__init__()
        if not limit > 0:
            raise ValueError(f"regularise.max_norm.limit={limit} was given; a length above 0 is expected")
        self.limit = limit

    @torch.no_grad()
    def after_step(self, model: Classifier) -> None:
        """Shorten the rows that are too long."""
        for head in model.heads.values():
            weight = head.get_parameter("weight")
            norms = weight.norm(dim=1, keepdim=True)
            weight.copy_(torch.where(norms > self.limit, weight * (self.limit / norms), weight))
