"""Small source matrices and target tokenizers."""

import tokenizers
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.vocab.tokenizer import Tokenizer
from lexigraft.vocab.vocabulary import Token, Vocabulary

ROLES = {"<pad>": "pad", "<unk>": "unk"}


def word_tokenizer(words: list[str]) -> Tokenizer:
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({w: i for i, w in enumerate(words)}, "<unk>"))
    return Tokenizer(backend, Vocabulary.of_words(words, ROLES))


def word_matrix(words: list[str], dim: int = 4, dtype: torch.dtype = torch.float32, **parts) -> EmbeddingMatrix:
    rows = torch.randn(len(words), dim, generator=torch.Generator().manual_seed(len(words))).to(dtype)
    return EmbeddingMatrix(Vocabulary.of_words(words, ROLES), rows, {"name": "made in a test"}, **parts)


def character_matrix(characters: str, dim: int = 4) -> EmbeddingMatrix:
    rows = torch.randn(len(characters), dim, generator=torch.Generator().manual_seed(7))
    vocabulary = Vocabulary(tuple(Token(c.encode(), None) for c in characters))
    return EmbeddingMatrix(vocabulary, rows, {"name": "characters"})
