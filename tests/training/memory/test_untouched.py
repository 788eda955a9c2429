"""What is tried on a module leaves no trace."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from lexigraft.training.memory.untouched import untouched
from lexigraft.training.random_state import random_state


def everything(module):
    """What can be seen of a module from outside, gradients as the objects that they are."""
    return {
        "modes": [part.training for part in module.modules()],
        "state": {name: value.clone() for name, value in module.state_dict().items()},
        "gradients": [(weight.requires_grad, weight.grad) for weight in module.parameters()],
        "hooks": [dict(weight._backward_hooks or {}) for weight in module.parameters()],
    }


def assert_same(before, after):
    assert all(before[key] == after[key] for key in ("modes", "hooks"))
    assert all(torch.equal(value, after["state"][name]) for name, value in before["state"].items())
    for (needed, gradient), (needs, now) in zip(before["gradients"], after["gradients"]):
        assert needs == needed
        assert now is gradient


def stirred(module):
    module.train()
    module(torch.randn(3, 4))  # moves the running statistics, and draws
    for weight in module.parameters():
        weight.requires_grad_(not weight.requires_grad)
        weight.grad = None
        if weight.requires_grad:
            weight.register_hook(lambda gradient: 2 * gradient)
    random.random()
    np.random.rand()


def test_modes_gradients_hooks_buffers_and_streams_are_put_back():
    module = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)).eval()
    module[1].train()
    module[0].weight.register_hook(lambda gradient: gradient)
    module[0].weight.grad = torch.ones(4, 4)
    module[0].bias.requires_grad_(False)
    before, streams = everything(module), random_state()
    with untouched(module):
        stirred(module)
    assert_same(before, everything(module))
    now = random_state()
    assert torch.equal(now["torch"], streams["torch"])
    assert now["python"] == streams["python"]
    assert torch.equal(now["numpy"][1], streams["numpy"][1])
    assert now["numpy"][2:] == streams["numpy"][2:]


def test_they_are_put_back_after_an_error_too():
    module = nn.Linear(2, 2).eval()

    def failing():
        module.train().requires_grad_(False)
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"), untouched(module):
        failing()
    assert not module.training
    assert all(weight.requires_grad for weight in module.parameters())
