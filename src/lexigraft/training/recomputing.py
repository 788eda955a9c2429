"""Activation checkpointing: what a layer makes is computed again in the backward pass and not kept until then."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


@contextmanager
def recomputing(model: nn.Module, wanted: bool = True) -> Iterator[None]:
    """Within, each block of the model keeps its inputs alone for the backward pass (Chen et al. 2016).

    The numbers stay: dropout draws the same masks again. Where the model has no blocks nothing changes.
    """
    blocks = layers(model) if wanted else []
    for block in blocks:  # no wrapper, which would change the names of parameters
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    try:
        yield
    finally:
        for block in blocks:
            del block.forward


def layers(model: nn.Module) -> list[nn.Module]:
    """The blocks of a model, as transformers' layers are: the outermost elements of lists of modules, with weights."""
    found: list[nn.Module] = []
    for child in model.children():
        if isinstance(child, nn.ModuleList):
            found += [each for each in child if any(True for _ in each.parameters())]
        else:
            found += layers(child)
    return found
