import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from lexigraft.training.recomputing import layers, recomputing


def network():
    torch.manual_seed(0)
    block = torch.nn.Sequential(torch.nn.Linear(4, 32), torch.nn.GELU(), torch.nn.Dropout(0.5), torch.nn.Linear(32, 4))
    body = torch.nn.Module()
    body.layers = torch.nn.ModuleList([block, torch.nn.Identity()])
    body.head = torch.nn.Linear(4, 2)
    return body


def step(body, wanted):
    """Gradients, and how many numbers were kept for the backward pass."""
    kept = []
    torch.manual_seed(1)
    with recomputing(body, wanted), saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        features = body.layers[0](torch.ones(8, 4, requires_grad=True))
        body.head(features).square().sum().backward()
    return [weight.grad for weight in body.parameters()], sum(kept)


def test_layers_are_computed_again_with_the_same_dropout_and_gradients():
    (plain, all_kept), (again, kept) = step(network(), False), step(network(), True)
    assert all(torch.equal(a, b) for a, b in zip(plain, again))
    assert kept < all_kept / 4


def test_layers_are_as_before_afterwards_even_if_training_fails():
    body = network()
    with pytest.raises(KeyError), recomputing(body):
        raise KeyError
    assert "forward" not in vars(body.layers[0])


def test_layers_are_outermost_elements_of_lists_that_have_weights():
    body = network()
    assert layers(body) == [body.layers[0]]
    assert layers(body.head) == []
