"""Bytes of an optimizer's state are those after a real step."""

from functools import partial

import pytest
import torch
from torch import optim

from lexigraft.training.memory.optimizer_state import fused, state_bytes
from lexigraft.training.muon import MuonWithAdamW
from lexigraft.training.optimizers import lamb, lion

from .modules import ADAMW, batches, module

OPTIMIZERS = {
    "sgd": partial(optim.SGD, lr=0.1),
    "sgd momentum fused": partial(optim.SGD, lr=0.1, momentum=0.9, nesterov=True, fused=True),
    "adam amsgrad": partial(optim.Adam, amsgrad=True),
    "adamw fused": ADAMW,
    "adafactor": optim.Adafactor,
    "adagrad": partial(optim.Adagrad, fused=True),
    "adadelta": optim.Adadelta,
    "rmsprop": optim.RMSprop,
    "rmsprop centered": partial(optim.RMSprop, momentum=0.9, centered=True),
    "nadam": optim.NAdam,
    "muon": MuonWithAdamW,
    "lion": lion,
    "lamb": lamb,
}


def tensors(state):
    return sum(value.nbytes for of_one in state.values() for value in of_one.values() if torch.is_tensor(value))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_is_that_after_a_real_step(name):
    trained = module("transformer", OPTIMIZERS[name])
    trained.model.heads.requires_grad_(False)
    expected = state_bytes(trained.made_optimizer(1))
    real = trained.made_optimizer(1)
    trained.loss_of(batches(8).train.__getitems__([0, 1])).backward()
    real.step()
    # Lamb keeps one number a weight as a tensor or not, by its value.
    assert expected == pytest.approx(tensors(real.state), abs=4 * len(real.state) if name == "lamb" else 0)


def test_weights_in_16_bits_have_moments_in_16_bits():
    made = module().made_optimizer
    halves, steps = state_bytes(made(1), torch.bfloat16), 4 * len(list(module().parameters()))
    assert halves - steps == (state_bytes(made(1)) - steps) / 2


def test_a_step_that_cannot_be_tried_counts_as_adams():
    class Odd(optim.SGD):
        def step(self, closure=None):
            raise RuntimeError("needs real tensors")

    weight = torch.nn.Parameter(torch.zeros(10, 3))
    assert state_bytes(Odd([weight], lr=0.1)) == 2 * weight.nbytes


def test_only_groups_that_are_all_fused_are_fused():
    weight = torch.nn.Parameter(torch.zeros(2))
    assert fused(optim.AdamW([weight], fused=True))
    assert not fused(optim.AdamW([weight]))
