"""Activations that were measured on a few tokens are those of whole batches."""

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from lexigraft.models.active import activate
from lexigraft.training.memory.activations import measured
from lexigraft.training.memory.untouched import untouched
from lexigraft.training.regularise.adversarial import FGM
from lexigraft.training.regularise.rdrop import RDrop

from .modules import TOKENS, batches, module


def counted(trained, texts, half=False):
    """Bytes that a real step of so many texts saves, and that are no weights."""
    known = {weight.untyped_storage().data_ptr() for weight in trained.parameters()}
    found = {}

    def pack(tensor):
        found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    trained.train()
    with saved_tensors_hooks(pack, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16, enabled=half):
        result = trained.loss_of(batches().train.__getitems__(list(range(texts))))
    total = sum(size for place, size in found.items() if place not in known)
    del result
    return total


def of_one_text(trained, **settings):
    with untouched(trained):
        return measured(trained, batches().train.__getitems__([0]), **settings)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("encoder", ["mean", "textcnn", "bilstm", "transformer", "bert"])
def test_estimate_is_what_a_real_batch_keeps(encoder, half):
    trained = module(encoder)
    expected = counted(trained, 12, half)
    assert of_one_text(trained, half=half).bytes(12, TOKENS) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("regulariser", [RDrop, FGM])
def test_active_rows_and_regularisers_count(regulariser):
    plain, both = module("transformer"), module("transformer", regularisers=[regulariser()])
    activate(both.model.embedding, torch.arange(100))
    of_both = of_one_text(both).bytes(8, TOKENS)
    assert of_both == pytest.approx(counted(both, 8), rel=0.1)
    assert of_both > 1.8 * of_one_text(plain).bytes(8, TOKENS)


def test_attention_weights_grow_with_the_square_unless_the_kernel_is_fused():
    trained = module("bert")
    kept, fused = of_one_text(trained), of_one_text(trained, fused_attention=True)
    assert kept.bytes(8, 400) - 10 * kept.bytes(8, 40) > 0.5 * kept.bytes(8, 400)
    assert fused.bytes(8, 400) == pytest.approx(10 * fused.bytes(8, 40), rel=0.3)


def test_nothing_but_the_head_is_kept_of_frozen_layers():
    trained = module("bert")
    full = of_one_text(trained).bytes(8, TOKENS)
    trained.model.embedding.requires_grad_(False)
    trained.model.encoder.requires_grad_(False)
    assert of_one_text(trained).bytes(8, TOKENS) < 0.1 * full


def test_weights_in_16_bits_halve_what_is_a_float():
    found = of_one_text(module("textcnn"))
    whole, half = found.bytes(8, TOKENS), found.bytes(8, TOKENS, 0.5)
    assert 0.5 * whole <= half < 0.7 * whole


@pytest.mark.parametrize("tokens", [1, 2, 3])
def test_texts_of_few_tokens(tokens):
    trained = module("transformer")
    text = batches(tokens).train.__getitems__([0])
    with untouched(trained):
        few = measured(trained, text).bytes(4, tokens)
    assert few > 0
