"""Axes that do not depend on an eigensolver's choices."""

import torch


def fixed_signs(axes: torch.Tensor) -> torch.Tensor:
    """The axes `[D, m]`, one a column, each turned so that its largest entry is positive.

    Eigensolvers are free to give either direction: fixed, a matrix and a seed give the same rows on every machine.
    """
    return axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
