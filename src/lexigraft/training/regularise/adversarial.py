"""Adversarial training: the loss at word vectors that were moved to where it is higher."""

from dataclasses import replace

import torch
from torch import Tensor

from lexigraft.models.masking import masked
from lexigraft.training.regularise.regulariser import Regulariser
from lexigraft.training.step import Step


class FGM(Regulariser):
    """`weight` times the loss at vectors moved along its gradient g by epsilon g / |g| (Miyato et al. 2017).

    |g| is the L2 norm over all vectors of a text. `relative`: epsilon is a share of the norm of the text's own
    vectors, which makes it independent of the scale of the matrix. The move itself gets no gradient.
    `ValueError` unless epsilon > 0 and weight > 0.
    """

    name = "fgm"

    def __init__(self, epsilon: float = 1.0, relative: bool = False, weight: float = 1.0):
        super().__init__()
        self.epsilon, self.relative, self.weight = epsilon, relative, weight
        self._above_zero("epsilon", "weight")

    def change(self, step: Step) -> Step:
        """The step with vectors that have a gradient also where the embedding is frozen."""
        if step.vectors.requires_grad:
            return step
        return replace(step, vectors=step.vectors.detach().requires_grad_())

    def term(self, step: Step) -> Tensor:
        """The loss at the moved vectors."""
        return self.weight * step.loss_of(step.run(step.vectors + self.move(step)))

    def move(self, step: Step) -> Tensor:
        """What is added to the vectors: `[B, T, D]`, zero outside the mask, of norm epsilon per text."""
        return self._radius(step) * _uphill(step.loss, step.vectors, step.mask)

    def _radius(self, step: Step) -> Tensor | float:
        return self.epsilon * _norms(step.vectors.detach()) if self.relative else self.epsilon

    def _above_zero(self, *settings: str) -> None:
        for setting in settings:
            value = getattr(self, setting)
            if not value > 0:
                raise ValueError(f"regularise.{self.name}.{setting}={value} was given; a number above 0 is expected")


class PGD(FGM):
    """As FGM, the move found in `steps` steps of `step_size`, each cut back to norm epsilon (Madry et al. 2018).

    The norm is L2 per text, and the search starts at the vectors themselves. Every step passes through the model
    once; one step of size epsilon is FGM. `ValueError` unless all are above 0, and if the steps cannot reach epsilon.
    """

    name = "pgd"

    def __init__(
        self,
        epsilon: float = 1.0,
        steps: int = 3,
        step_size: float = 0.4,
        relative: bool = False,
        weight: float = 1.0,
    ):
        super().__init__(epsilon, relative, weight)
        self.steps, self.step_size = steps, step_size
        self._above_zero("steps", "step_size")
        if steps * step_size < epsilon:
            raise ValueError(
                f"regularise.pgd: {steps} steps of {step_size} cannot reach epsilon={epsilon}: raise steps or step_size"
            )

    def move(self, step: Step) -> Tensor:
        """What is added to the vectors: `[B, T, D]`, zero outside the mask, of norm epsilon at most per text."""
        radius = self._radius(step)
        length = radius * (self.step_size / self.epsilon)
        moved = _inside(length * _uphill(step.loss, step.vectors, step.mask), radius)
        for _ in range(self.steps - 1):
            moved.requires_grad_()
            loss = step.loss_of(step.run(step.vectors.detach() + moved))
            moved = _inside(moved.detach() + length * _uphill(loss, moved, step.mask), radius)
        return moved


def _uphill(loss: Tensor, vectors: Tensor, mask: Tensor) -> Tensor:
    """The direction `[B, T, D]`, of norm 1 per text, in which the loss rises most; zero where it has no gradient."""
    # The mean over the batch makes gradients small, which fp16 would round to zero; the direction is the same.
    (gradient,) = torch.autograd.grad(loss * len(vectors), vectors, retain_graph=True)
    gradient = masked(gradient.detach().float(), mask)
    return (gradient / _norms(gradient).clamp(min=torch.finfo(torch.float32).tiny)).to(vectors.dtype)


def _inside(move: Tensor, radius: Tensor | float) -> Tensor:
    """The move, shortened to the radius where it is longer."""
    norms = _norms(move)
    return move * torch.where(norms > radius, radius / norms.clamp(min=torch.finfo(norms.dtype).tiny), 1.0)


def _norms(vectors: Tensor) -> Tensor:
    """The L2 norm of each text's vectors: `[B, 1, 1]`."""
    return torch.linalg.vector_norm(vectors, dim=(1, 2), keepdim=True)
