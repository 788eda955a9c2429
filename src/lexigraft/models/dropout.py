"""Dropout of word vectors: of single numbers, of coordinates of a whole text, of whole words."""

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout


class EmbeddingDropout(nn.Module):
    """Word vectors `[B, T, D]` with parts of them zero; what stays is divided by the probability of staying.

    `word`: all occurrences of a word type in a text are zero vectors or none is, `variational`: a coordinate is zero
    in all tokens of a text or in none (both Gal & Ghahramani 2016), `element`: each number for itself (Srivastava et
    al. 2014). The places of dropped words remain, and with them the text's length. A rate of 0 draws nothing.
    """

    def __init__(self, element: float = 0.0, variational: float = 0.0, word: float = 0.0):
        super().__init__()
        for name, rate in {"embedding": element, "variational": variational, "word": word}.items():
            if not 0 <= rate < 1:
                raise ValueError(
                    f"model.{name}_dropout={rate} was given; a rate from 0 up to, not including, 1 is expected"
                )
        self.element, self.variational, self.word = element, variational, word

    def forward(self, vectors: Tensor, input_ids: Tensor) -> Tensor:
        """`[B, T, D]` and the ids `[B, T]` of the tokens -> `[B, T, D]`."""
        if not self.training:
            return vectors
        if self.word:
            vectors = vectors * _kept_words(vectors, input_ids, self.word)
        if self.variational:
            texts, _, dim = vectors.shape
            vectors = vectors * dropout(vectors.new_ones(texts, 1, dim), self.variational)
        return dropout(vectors, self.element) if self.element else vectors

    def extra_repr(self) -> str:
        return f"element={self.element}, variational={self.variational}, word={self.word}"


def _kept_words(vectors: Tensor, input_ids: Tensor, rate: float) -> Tensor:
    """The factor `[B, T, 1]` of each token: that of the first token of its type in the text."""
    drawn = dropout(vectors.new_ones(input_ids.shape), rate)
    same = input_ids[:, :, None] == input_ids[:, None, :]
    first = same.to(torch.uint8).argmax(dim=2)  # of equal maxima, the first
    return drawn.gather(1, first).unsqueeze(-1)
