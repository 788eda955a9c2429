import pytest
import torch

from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.encoders import Identity
from lexigraft.models.pooling import Mean
from lexigraft.training.regularise.max_norm import MaxNorm


def model() -> Classifier:
    """Two heads; the rows of `main` have the norms 5, 0 and 1."""
    embedding = TransplantedEmbedding(torch.ones(4, 2), 0)
    found = Classifier(embedding, Identity(2), Mean(2), {"main": Head(3), "tags": Head(2, per_token=True)})
    with torch.no_grad():
        found.heads["main"].weight.copy_(torch.tensor([[3.0, -4.0], [0.0, 0.0], [0.6, 0.8]]))
        found.heads["main"].bias.fill_(9.0)
        found.heads["tags"].weight.copy_(torch.tensor([[30.0, 40.0], [0.0, 2.0]]))
    return found


def test_long_rows_keep_their_direction_and_lose_length():
    of = model()
    MaxNorm(2.0).after_step(of)
    weight = of.heads["main"].weight.detach()
    assert torch.allclose(weight[0], torch.tensor([1.2, -1.6]))
    assert weight[1:].tolist() == [[0.0, 0.0], pytest.approx([0.6, 0.8])]
    assert torch.allclose(of.heads["tags"].weight.detach(), torch.tensor([[1.2, 1.6], [0.0, 2.0]]))


def test_nothing_but_the_weights_of_heads_changes():
    of = model()
    before = {name: weight.clone() for name, weight in of.state_dict().items()}
    MaxNorm(0.1).after_step(of)
    changed = {name for name, weight in of.state_dict().items() if not torch.equal(weight, before[name])}
    assert changed == {"heads.main.weight", "heads.tags.weight"}


def test_it_adds_nothing_to_the_loss():
    assert MaxNorm().term(None) is None


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_a_limit_is_above_zero(limit):
    with pytest.raises(ValueError, match=r"regularise.max_norm.limit=.* a length above 0 is expected"):
        MaxNorm(limit)
