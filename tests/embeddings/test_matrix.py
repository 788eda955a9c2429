"""The matrix holds one row per token."""

import pytest
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix, padded
from lexigraft.vocab.vocabulary import Vocabulary


def test_one_row_per_token() -> None:
    vocabulary = Vocabulary.of_words(["a", "b"])
    assert EmbeddingMatrix(vocabulary, torch.zeros(2, 5), {}).dim == 5
    for shape in ((3, 5), (2,)):
        with pytest.raises(ValueError, match="does not fit a vocabulary of 2 tokens: one row per token is expected"):
            EmbeddingMatrix(vocabulary, torch.zeros(shape), {})


def test_padded_adds_unused_tokens() -> None:
    vocabulary = padded(Vocabulary.of_words(["a", "b"]), 4)
    assert [t.role for t in vocabulary] == [None, None, "unused", "unused"]
    assert vocabulary.roles == {}
    assert padded(vocabulary, 4) == vocabulary
