import pytest
import torch
from torch import nn

from lexigraft.models.active import activate
from lexigraft.models.parameters import parameter_groups
from tests.models.test_classifier import ENCODERS, classifier


def by_name(groups: list[dict]) -> dict[str, set[str]]:
    return {group["name"]: set(group["names"]) for group in groups}


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


def test_names_go_with_parameters():
    model = classifier("bert", "attention")
    parameters = dict(model.named_parameters())
    for group in parameter_groups(model, 0.1, lambda name, epoch: 1 + ("bias" in name)):
        assert all(parameters[name] is p for name, p in zip(group["names"], group["params"], strict=True))


def test_what_decays():
    groups = by_name(parameter_groups(classifier("transformer", "attention", project_to=16), 0.1))
    assert {"embedding.projection.weight", "heads.main.weight", "pooling.score.weight"} <= groups["decay"]
    assert {"encoder.layers.layers.0.self_attn.in_proj_weight"} <= groups["decay"]
    assert {"embedding.lookup.weight", "encoder.positions.weight", "heads.main.bias"} <= groups["no_decay"]
    assert {"encoder.layers.norm.weight", "encoder.layers.layers.0.norm1.weight"} <= groups["no_decay"]


def test_embeddings_inside_a_backbone_do_not_decay():
    groups = by_name(parameter_groups(classifier("bert", "mean"), 0.1))
    assert "encoder.backbone.embeddings.position_embeddings.weight" in groups["no_decay"]
    assert "encoder.backbone.encoder.layer.0.attention.self.query.weight" in groups["decay"]
    groups = by_name(parameter_groups(classifier("t5", "mean"), 0.1))
    assert len([name for name in groups["no_decay"] if "relative_attention_bias" in name]) == 1


def test_word_rows_decay_if_asked():
    for active in (False, True):
        model = classifier("bert", "mean")
        if active:
            activate(model.embedding, torch.tensor([3, 4]))
        rows = {name for name, _ in model.embedding.named_parameters("embedding")}
        assert len(rows) == 1 + active
        groups = by_name(parameter_groups(model, 0.1))
        assert rows <= groups["no_decay"]
        groups = by_name(parameter_groups(model, 0.1, decay_embeddings=True))
        assert rows <= groups["decay"]
        assert "encoder.backbone.embeddings.position_embeddings.weight" in groups["no_decay"]


def test_a_group_for_each_course_of_the_learning_rate():
    def scale(name: str, epoch: int) -> float:
        if name.startswith("embedding."):
            return 1.0 if epoch == 0 else 0.5
        return 1.0 if name.startswith("encoder.") else 2.0

    model = classifier("textcnn", "attention")
    groups = parameter_groups(model, 0.1, scale, epochs=3)
    assert {(g["name"], g["lr_scale"], g["weight_decay"]) for g in groups} == {
        ("no_decay embedding.lookup", 1.0, 0.0),
        ("decay encoder.convolutions", 1.0, 0.1),
        ("no_decay encoder.convolutions", 1.0, 0.0),
        ("decay pooling", 2.0, 0.1),
        ("no_decay pooling", 2.0, 0.0),
    }
    at_first = parameter_groups(model, 0.1, scale, epochs=1)
    assert len(at_first) == 4, "embedding and encoder differ only later"


def test_names_of_groups_are_unique():
    """Two courses that begin in the same part of the model."""
    model = classifier("textcnn", "attention")
    groups = parameter_groups(model, 0.1, lambda name, epoch: 1.0 + ("convolutions.1" in name))
    names = [group["name"] for group in groups]
    assert len(set(names)) == len(names) == 4
    groups = parameter_groups(model, 0.1, lambda name, epoch: 1.0 + int(name.split(".")[-2] == "score"))
    assert [g["name"] for g in groups] == ["decay encoder", "decay pooling.score", "no_decay embedding"]

    twice = nn.ModuleDict({"a": nn.ModuleDict({str(i): nn.Linear(2, 2) for i in range(4)}), "b": nn.Linear(2, 2)})
    groups = parameter_groups(twice, 0.1, lambda name, epoch: 1.0 if name[2] in "01" else 2.0)
    assert [g["name"] for g in groups] == ["decay a", "decay a 2", "no_decay a", "no_decay a 2"]


def test_an_empty_group_is_left_out():
    assert [group["name"] for group in parameter_groups(nn.Embedding(3, 2), 0.1)] == ["no_decay"]
