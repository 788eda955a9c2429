"""fastText's classifier: word vectors and vectors of hashed word n-grams, averaged."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lexigraft.models.masking import masked

# Odd 64-bit constants of splitmix64 (Steele et al. 2014), which spread neighbouring ids over all bits.
_SPREAD, _MIX = -0x61C8864680B583EB, -0x40A7B892E31B1A47


class HashedNgrams(nn.Module):
    """Word vectors to which the vectors of the n-grams that begin at each token are added (Joulin et al. 2016).

    `orders` are the lengths of n-grams; all of them share `buckets` rows, which start uniform in [-1/D, 1/D] as
    fastText's do. With model/pooling=mean a text's vector is the plain mean over its tokens and n-grams. N-grams are
    of ids, so the classifier lets this encoder `join` them to the vectors of the embedding.
    `ValueError` for an order below 2 or no buckets.
    """

    def __init__(self, dim: int, *, orders: Sequence[int], buckets: int):
        super().__init__()
        if not orders or min(orders) < 2:
            raise ValueError(f"orders={list(orders)} was given; a list of lengths of n-grams from 2 up is expected")
        if buckets < 1:
            raise ValueError(f"buckets={buckets} was given; 1 or more is expected")
        self.orders = list(orders)
        self.ngrams = nn.Embedding(buckets, dim)
        nn.init.uniform_(self.ngrams.weight, -1 / dim, 1 / dim)
        self.width = dim

    def join(self, vectors: Tensor, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Vectors `[B, T, D]` of tokens with those of the n-grams that begin there; zero outside the mask."""
        mask = mask.bool()
        count = mask.sum(dim=1)
        total = count.clone()
        for order in self.orders:
            if order > input_ids.shape[1]:
                continue
            whole = mask[:, order - 1 :]  # whether an n-gram that begins here ends within the text
            found = masked(self.ngrams(hashed(input_ids, order, self.ngrams.num_embeddings)), whole)
            vectors = vectors + nn.functional.pad(found, (0, 0, 0, order - 1))
            total = total + whole.sum(dim=1)
        # The mean over T tokens of what stands at each becomes the mean over tokens and n-grams.
        share = count / total.clamp(min=1)
        return masked(vectors * share.to(vectors.dtype)[:, None, None], mask)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """`[B, T, D]` as they are."""
        return x


def hashed(input_ids: Tensor, order: int, buckets: int) -> Tensor:
    """Bucket `[B, T - order + 1]` of each n-gram of ids `[B, T]`; the order of its tokens counts."""
    length = input_ids.shape[1] - order + 1
    value = torch.full_like(input_ids[:, :length], order)
    for place in range(order):
        value = (value ^ (input_ids[:, place : place + length] + 1)) * _SPREAD  # wraps around
        value = (value ^ (value >> 29)) * _MIX
    return (value >> 20) % buckets
