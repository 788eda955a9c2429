import pytest
import torch

from lexigraft.models.classifier import Classifier
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.encoders import TextCNN
from lexigraft.models.pooling import Max
from lexigraft.training.finetune import EmbeddingFirst, Frozen, Full


@pytest.fixture
def model():
    encoder = TextCNN(8, kernel_sizes=[2, 3], channels=4)
    return Classifier(TransplantedEmbedding(torch.randn(10, 8), 0), encoder, Max(8), 2)


def moving(model):
    return {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}


def test_full_moves_everything(model):
    Full().apply(model, 0)
    assert moving(model) == {"embedding", "encoder", "head"}


def test_frozen_never_moves_the_transplanted_rows(model):
    for epoch in (0, 7):
        Frozen().apply(model, epoch)
        assert moving(model) == {"encoder", "head"}


def test_embedding_first_moves_the_encoder_later(model):
    strategy = EmbeddingFirst(epochs=2)
    seen = []
    for epoch in range(3):
        strategy.apply(model, epoch)
        seen.append(moving(model))
    assert seen == [{"embedding", "head"}, {"embedding", "head"}, {"embedding", "encoder", "head"}]


def test_embedding_first_needs_an_epoch():
    with pytest.raises(ValueError, match="finetune.epochs=0: give at least 1"):
        EmbeddingFirst(epochs=0)
