import sys

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

from lexigraft.config.catalog import conf_folder, options
from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.encoders import Transformer
from lexigraft.models.parameters import parameter_groups
from lexigraft.models.pooling import Mean
from lexigraft.training.optimizers import lamb, lion, unscaled_by_trainer

OPTIONS = options(conf_folder(), "optimizer")


def network():
    torch.manual_seed(0)
    embedding = TransplantedEmbedding(torch.randn(12, 8), 0)
    encoder = Transformer(8, layers=1, heads=2, feedforward=16, dropout=0.0, max_tokens=8)
    return Classifier(embedding, encoder, Mean(8), {"main": Head(2)})


def step(model, optimizer, seed):
    ids = torch.randint(1, 12, (4, 6), generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    outputs = model(ids, torch.ones(4, 6, dtype=torch.bool))
    nn.functional.cross_entropy(outputs, torch.tensor([0, 1, 0, 1])).backward()
    optimizer.step()


def made(option, model):
    return instantiate(OmegaConf.load(option.path))(parameter_groups(model, 0.01))


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_each_option_moves_the_weights_that_have_a_gradient_and_no_others(option):
    model = network()
    optimizer = made(option, model)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    step(model, optimizer, 0)
    moved = {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    assert moved == {name for name, weight in model.named_parameters() if weight.grad.any()}


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_each_option_goes_on_from_a_checkpoint_of_plain_values(option, tmp_path):
    model, again = network(), network()
    optimizer = made(option, model)
    for seed in range(3):
        step(model, optimizer, seed)
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "state.ckpt")
    state = torch.load(tmp_path / "state.ckpt", weights_only=True)
    resumed = made(option, again)
    again.load_state_dict(state["model"])
    resumed.load_state_dict(state["optimizer"])
    for seed in range(3, 6):
        step(model, optimizer, seed)
        step(again, resumed, seed)
    for (name, weight), other in zip(model.named_parameters(), again.parameters()):
        assert torch.equal(weight, other), name


def test_lion_moves_by_the_sign_and_decays_apart_from_it():
    weight = nn.Parameter(torch.tensor([2.0, -4.0]))
    weight.grad = torch.tensor([0.3, -7.0])
    lion([weight], lr=0.1, weight_decay=0.5).step()
    torch.testing.assert_close(weight.data, torch.tensor([2.0 * 0.95 - 0.1, -4.0 * 0.95 + 0.1]))


def test_lamb_moves_by_a_share_of_the_weights_norm_along_adams_step_and_the_decay():
    weight = nn.Parameter(torch.tensor([3.0, -4.0]))
    weight.grad = torch.tensor([0.5, 2.0])
    lamb([weight], lr=0.1, weight_decay=0.5, eps=0.0).step()
    first, second = 0.1 * torch.tensor([0.5, 2.0]), 0.001 * torch.tensor([0.25, 4.0])
    update = first / second.sqrt() + 0.5 * torch.tensor([3.0, -4.0])
    torch.testing.assert_close(weight.data, torch.tensor([3.0, -4.0]) - 0.1 * 5.0 * update / update.norm())


@pytest.mark.parametrize("make", [lion, lamb])
def test_the_extra_is_named_where_its_package_is_missing(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    with pytest.raises(ValueError, match="it needs the optimizers extra: pip install 'lexigraft\\[optimizers\\]'"):
        make([nn.Parameter(torch.zeros(1))])


@pytest.mark.parametrize("make", [lion, lamb])
def test_negative_rates_and_decays_are_errors(make):
    with pytest.raises(ValueError, match="lr=-1 should be 0 or more"):
        make([nn.Parameter(torch.zeros(1))], lr=-1)
    with pytest.raises(ValueError, match="weight_decay=-0.1 should be 0 or more"):
        make([nn.Parameter(torch.zeros(1))], weight_decay=-0.1)


def test_a_fused_optimizer_leaves_the_scaling_of_gradients_to_the_trainer():
    fused = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], fused=True)
    assert fused._step_supports_amp_scaling
    assert unscaled_by_trainer(fused) is fused
    assert not fused._step_supports_amp_scaling
