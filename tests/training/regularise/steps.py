"""A tiny batch on its way through a tiny model."""

import torch

from lexigraft.data.batches import Batch, EncodedText
from lexigraft.data.encoded import Encoded
from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.encoders import TextCNN
from lexigraft.models.pooling import Max
from lexigraft.tasks.classification import Classification
from lexigraft.tasks.losses import CrossEntropy
from lexigraft.training.step import Step

TEXTS = [[1, 2, 3, 4], [5, 6], [7, 1, 1, 7, 2], [3]]
LABELS = [0, 1, 2, 1]


def model(dropout: float = 0.0) -> Classifier:
    """Three classes, word vectors of width 6."""
    torch.manual_seed(0)
    embedding = TransplantedEmbedding(torch.randn(9, 6), 0, dropout=dropout)
    encoder = TextCNN(6, kernel_sizes=[2, 3], channels=5)
    return Classifier(embedding, encoder, Max(10), {"main": Head(3)}, head_dropout=dropout)


def task() -> Classification:
    """Cross-entropy of three classes."""
    return Classification(loss=CrossEntropy(), classes=("a", "b", "c"), train=LABELS)


def batch(texts: list[list[int]]) -> Batch:
    """Four texts and their labels."""
    return EncodedText(Encoded.of(texts), LABELS, pad_id=0).__getitems__([0, 1, 2, 3])


def step(of: Classifier | None = None, texts: list[list[int]] = TEXTS) -> Step:
    """The step of a batch of texts, which are of different lengths unless others are given."""
    return Step.of(of or model(), task(), batch(texts))
