import logging
import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.encoders import Recurrent, TextCNN
from lexigraft.models.parameters import parameter_groups
from lexigraft.models.pooling import Attention, Mean
from lexigraft.training.muon import MuonWithAdamW, is_hidden_matrix
from tests.training.test_optimizers import network, step


def names_of(member):
    return {name for group in member.param_groups for name in group["names"]}


def classifier(encoder, pooling=Mean):
    embedding = TransplantedEmbedding(torch.randn(12, 8), 0, project_to=6)
    encoder = encoder(embedding.dim)
    return Classifier(embedding, encoder, pooling(encoder.width), {"main": Head(2)})


def test_matrices_of_the_encoder_go_to_muon_and_all_else_to_adamw():
    model = network()
    muon, adamw = MuonWithAdamW(parameter_groups(model, 0.01)).optimizers
    assert (type(muon), type(adamw)) == (torch.optim.Muon, torch.optim.AdamW)
    every = {name: weight.ndim for name, weight in model.named_parameters()}
    positions = {"encoder.positions.weight"}
    matrices = {name for name, ndim in every.items() if name.startswith("encoder.") and ndim == 2}
    assert names_of(muon) == matrices - positions
    assert {name.split(".")[-2] for name in names_of(muon)} >= {"linear1", "linear2", "out_proj"}
    assert names_of(muon) | names_of(adamw) == set(every)
    assert {"embedding.lookup.weight", "heads.main.weight", "heads.main.bias"} <= names_of(adamw)


def test_recurrent_weights_go_to_muon_and_projection_and_pooling_to_adamw():
    muon, adamw = MuonWithAdamW(
        parameter_groups(classifier(partial(Recurrent, cell="lstm", hidden=4), Attention), 0)
    ).optimizers
    assert all("weight_ih" in name or "weight_hh" in name for name in names_of(muon))
    assert {"embedding.projection.weight"} < names_of(adamw)
    assert any(name.startswith("pooling.") for name in names_of(adamw))


@pytest.mark.parametrize(
    ("name", "shape", "hidden"),
    [
        ("encoder.backbone.encoder.layer.0.attention.self.query.weight", (8, 8), True),
        ("encoder.backbone.h.0.attn.c_attn.weight", (8, 24), True),
        ("encoder.backbone.embeddings.position_embeddings.weight", (8, 8), False),
        ("encoder.backbone.wpe.weight", (8, 8), False),
        ("encoder.backbone.encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", (8, 8), False),
        ("encoder.backbone.encoder.layer.0.output.LayerNorm.weight", (8,), False),
        ("encoder.convolutions.0.weight", (8, 8, 3), False),
        ("heads.main.weight", (2, 8), False),
        ("embedding.lookup.weight", (8, 8), False),
    ],
)
def test_which_names_are_hidden_matrices(name, shape, hidden):
    assert is_hidden_matrix(name, torch.empty(shape)) == hidden


def test_a_table_of_vectors_under_any_name_is_known_by_its_group():
    groups = [{"name": "no_decay", "params": [torch.zeros(4, 4, requires_grad=True)], "names": ["encoder.x.weight"]}]
    [adamw] = MuonWithAdamW(groups).optimizers
    assert isinstance(adamw, torch.optim.AdamW)


def test_an_encoder_without_matrices_is_told_of(caplog):
    model = classifier(partial(TextCNN, kernel_sizes=[1, 2], channels=4))
    with caplog.at_level(logging.WARNING):
        [adamw] = MuonWithAdamW(parameter_groups(model, 0.01)).optimizers
    assert isinstance(adamw, torch.optim.AdamW)
    assert "the encoder has no matrices for Muon, so AdamW trains every weight" in caplog.text


def test_an_update_of_a_matrix_is_orthogonal_and_as_large_as_adamws():
    weight = nn.Parameter(torch.zeros(16, 32))
    weight.grad = torch.randn(16, 32, generator=torch.Generator().manual_seed(0))
    groups = [{"name": "decay", "params": [weight], "names": ["encoder.linear.weight"], "weight_decay": 0.0}]
    MuonWithAdamW(groups, lr=0.1).step()
    update = weight.detach() / (0.1 * 0.2 * math.sqrt(32))
    values = torch.linalg.svdvals(update)
    assert 0.6 < values.min() <= values.max() < 1.4  # five iterations come near 1, not to it
    assert weight.square().mean().sqrt().item() == pytest.approx(0.1 * 0.2, rel=0.2)


def test_each_member_has_its_rate_and_groups_keep_their_ratios():
    model = network()
    groups = parameter_groups(model, 0.01)
    groups[0]["lr"] = 0.01  # half the rate
    optimizer = MuonWithAdamW(groups, lr=0.02, adamw_lr=0.004)
    rates = {group["name"]: group["lr"] for group in optimizer.param_groups}
    assert rates == pytest.approx({"decay muon": 0.01, "decay adamw": 0.002, "no_decay adamw": 0.004})
    assert "muon" not in groups[0]["name"]


def test_a_schedule_reaches_the_members():
    optimizer = MuonWithAdamW(parameter_groups(network(), 0.01), lr=0.02, adamw_lr=0.004)
    schedule = LambdaLR(optimizer, lambda step: 1 / (step + 1))
    optimizer.step()
    schedule.step()
    muon, adamw = optimizer.optimizers
    assert muon.param_groups[0]["lr"] == 0.01
    assert {group["lr"] for group in adamw.param_groups} == {0.002}


def test_a_schedule_reaches_the_members_after_resuming_too():
    model = network()
    optimizer = MuonWithAdamW(parameter_groups(model, 0.01))
    step(model, optimizer, 0)
    optimizer.load_state_dict(optimizer.state_dict())
    assert [group for member in optimizer.optimizers for group in member.param_groups] == optimizer.param_groups
    assert all(member.state is optimizer.state for member in optimizer.optimizers)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    before = [weight.clone() for weight in model.parameters()]
    step(model, optimizer, 1)
    assert all(torch.equal(weight, other) for weight, other in zip(model.parameters(), before))


def test_the_closure_is_called_once():
    calls = []
    optimizer = MuonWithAdamW(parameter_groups(network(), 0.01))
    assert optimizer.step(lambda: calls.append(1) or 7.0) == 7.0
    assert calls == [1]


def test_parameters_without_names_are_adamws():
    [adamw] = MuonWithAdamW([torch.zeros(3, 3, requires_grad=True)]).optimizers
    assert isinstance(adamw, torch.optim.AdamW)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"lr": 0.0}, "lr=0.0 should be above 0"), ({"adjust_lr_fn": "no"}, "function no is not supported")],
)
def test_settings_out_of_range_are_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        MuonWithAdamW(parameter_groups(network(), 0.01), **settings)


def test_the_transformer_learns_with_it():
    model = network()
    optimizer = MuonWithAdamW(parameter_groups(model, 0.0), lr=0.02, adamw_lr=0.02)
    ids, labels = torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.tensor([0, 1])
    mask = torch.ones_like(ids, dtype=torch.bool)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(ids, mask), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
