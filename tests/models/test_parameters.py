import pytest
import torch
from torch import nn

from lexigraft.models.parameters import parameter_groups
from tests.models.test_classifier import ENCODERS, classifier


def names(model: nn.Module, group: dict) -> set[str]:
    members = {id(p) for p in group["params"]}
    return {name for name, p in model.named_parameters() if id(p) in members}


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_parameter_is_in_one_group(encoder):
    model = classifier(encoder, "attention", project_to=16)
    model.encoder.requires_grad_(False)
    groups = parameter_groups(model, 0.1)
    listed = [id(p) for group in groups for p in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in model.parameters())
    assert [(group["name"], group["weight_decay"]) for group in groups] == [("decay", 0.1), ("no_decay", 0.0)]
    assert all(p.ndim > 1 for p in groups[0]["params"])
    torch.optim.AdamW(groups)


def test_what_decays():
    model = classifier("transformer", "attention", project_to=16)
    decayed, spared = (names(model, group) for group in parameter_groups(model, 0.1))
    assert {"embedding.projection.weight", "head.weight", "pooling.score.weight"} <= decayed
    assert {"encoder.layers.layers.0.self_attn.in_proj_weight"} <= decayed
    assert {"embedding.lookup.weight", "encoder.positions.weight", "head.bias"} <= spared
    assert {"encoder.layers.norm.weight", "encoder.layers.layers.0.norm1.weight"} <= spared


def test_embeddings_inside_a_backbone_do_not_decay():
    model = classifier("bert", "mean")
    decayed, spared = (names(model, group) for group in parameter_groups(model, 0.1))
    assert "encoder.backbone.embeddings.position_embeddings.weight" in spared
    assert "encoder.backbone.encoder.layer.0.attention.self.query.weight" in decayed
    t5 = classifier("t5", "mean")
    relative = [name for name in names(t5, parameter_groups(t5, 0.1)[1]) if "relative_attention_bias" in name]
    assert len(relative) == 1


def test_an_empty_group_is_left_out():
    assert [group["name"] for group in parameter_groups(nn.Embedding(3, 2), 0.1)] == ["no_decay"]
