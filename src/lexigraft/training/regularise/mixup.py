"""Mixup: texts and their labels mixed in pairs."""

from dataclasses import replace

import torch

from lexigraft.training.regularise.regulariser import Regulariser
from lexigraft.training.step import Step


class Mixup(Regulariser):
    """Word vectors l x_i + (1 - l) x_j, position by position, with the losses of both labels in that proportion.

    l ~ Beta(alpha, alpha) is drawn once a batch, j from a permutation of it (Zhang et al. 2018; in the space of word
    vectors: Guo et al. 2019). The mask is the longer of both. Draws come from torch's global generator.
    `ValueError` for alpha < 0.01, and in training for labels per token and for pairs of sentences.
    """

    mixes_texts = True

    def __init__(self, alpha: float = 0.2):
        super().__init__()
        if not alpha >= 0.01:  # below, torch's draws underflow to 0.5
            raise ValueError(f"regularise.mixup.alpha={alpha} was given; a number of at least 0.01 is expected")
        self.alpha = alpha

    def change(self, step: Step) -> Step:
        """The step of the mixed texts."""
        if step.task.per_token:
            raise ValueError(
                "regularise=[mixup] mixes two texts into one, which has no label for each token: leave it out"
            )
        if "types" in step.batch:
            raise ValueError(
                "regularise=[mixup] mixes texts position by position, which tears sentence pairs apart: leave it out"
            )
        alpha = torch.tensor(self.alpha, dtype=torch.float64)
        share = float(torch.distributions.Beta(alpha, alpha).sample())
        other = torch.randperm(len(step.vectors)).to(step.vectors.device)
        return replace(
            step,
            vectors=share * step.vectors + (1 - share) * step.vectors[other],
            mask=step.mask | step.mask[other],
            labels=[(share * w, y) for w, y in step.labels] + [((1 - share) * w, y[other]) for w, y in step.labels],
        )
