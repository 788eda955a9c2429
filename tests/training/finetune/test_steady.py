import pytest
import torch

from lexigraft.training.finetune.steady import EmbeddingOnly, Frozen, Full
from tests.models.test_classifier import classifier
from tests.training.finetune.steps import moved, named, optimizer_of, texts

ENCODERS = ("identity", "textcnn", "gru", "transformer", "bert", "gpt2")
HEAD = ("pooling.", "heads.")


def everywhere(model, strategy):
    """What moves in the first and in a later epoch, which is the same."""
    optimizer = optimizer_of(model, strategy)
    first = moved(model, strategy, 0, optimizer)
    assert moved(model, strategy, 7, optimizer) == first
    assert len({group["lr"] for group in optimizer.param_groups}) == 1
    return first


@pytest.mark.parametrize("encoder", ENCODERS)
def test_full_moves_everything(encoder):
    model = classifier(encoder, "attention", project_to=16)
    assert everywhere(model, Full()) == named(model, "")


@pytest.mark.parametrize("encoder", ENCODERS)
def test_frozen_holds_what_came_from_a_source(encoder):
    model = classifier(encoder, "attention", project_to=16)
    new = (
        ("embedding.projection.", *HEAD)
        if encoder in ("bert", "gpt2")
        else ("embedding.projection.", "encoder.", *HEAD)
    )
    assert everywhere(model, Frozen()) == named(model, *new)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_embedding_only_holds_the_encoder(encoder):
    model = classifier(encoder, "attention", project_to=16)
    assert everywhere(model, EmbeddingOnly()) == named(model, "embedding.", *HEAD)


@pytest.mark.parametrize("encoder", ["bert", "gpt2"])
def test_a_frozen_backbone_keeps_no_activations(encoder):
    model = classifier(encoder, "attention")
    ids, mask = texts()

    def kept() -> int:
        """Numbers that the encoder keeps for the backward pass."""
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()), lambda t: t):
            features = model.features(model.embed(ids, mask), mask)
        assert features.requires_grad == bool(sizes)
        return sum(sizes)

    Full().apply(model, 0)
    assert kept() > 20_000
    Frozen().apply(model, 0)
    assert kept() == 0
    torch.nn.functional.cross_entropy(model(ids, mask), torch.tensor([0, 1])).backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None} == named(model, *HEAD)


def test_a_held_parameter_loses_its_gradient():
    model = classifier("textcnn", "mean")
    torch.nn.functional.cross_entropy(model(*texts()), torch.tensor([0, 1])).backward()
    EmbeddingOnly().apply(model, 0)
    assert {name for name, p in model.named_parameters() if p.grad is None} == named(model, "encoder.")


def test_dropout_of_a_held_encoder_stays_on():
    model = classifier("transformer", "mean")
    for module in model.encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    EmbeddingOnly().apply(model.train(), 0)
    assert not torch.equal(model(*texts()), model(*texts()))
