"""Trying something on a module and leaving it, and the random streams, as they were."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from lexigraft.training.random_state import random_state, set_random_state


@contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """Put back afterwards what weights need gradients, their gradients and hooks, buffers, modes and random streams.

    Not the weights themselves: nothing may be trained in between.
    """
    streams = random_state()
    modes = [(part, part.training) for part in module.modules()]
    weights = [(p, p.requires_grad, p.grad, p._backward_hooks) for p in module.parameters()]
    hooks = [None if had is None else dict(had) for _, _, _, had in weights]
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
        for (weight, needs, gradient, had), inside in zip(weights, hooks):
            weight.requires_grad_(needs)
            weight.grad = gradient
            if had is not None and inside is not None:
                had.clear()
                had.update(inside)
            elif weight._backward_hooks is not None:
                weight._backward_hooks.clear()
        with torch.no_grad():
            for buffer, before in buffers:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)
        set_random_state(streams)
