"""Pooling: token features `[B, T, W]` -> one vector `[B, W]` per text; zero for a text without tokens."""

import torch
from torch import Tensor, nn

from lexigraft.models.masking import masked, masked_mean


class Mean(nn.Module):
    """The mean over the text's tokens."""

    def __init__(self, dim: int):
        super().__init__()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """`[B, T, W]`, `[B, T]` -> `[B, W]`."""
        return masked_mean(x, mask)


class Max(nn.Module):
    """The maximum over the text's tokens, per feature."""

    def __init__(self, dim: int):
        super().__init__()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """`[B, T, W]`, `[B, T]` -> `[B, W]`."""
        highest = masked(x, mask, float("-inf")).amax(dim=1)
        return highest.masked_fill(~mask.bool().any(dim=1, keepdim=True), 0.0)


class Attention(nn.Module):
    """A weighted mean with learned weights: the softmax of v . tanh(W x + b) (Yang et al. 2016)."""

    def __init__(self, dim: int):
        super().__init__()
        self.hidden = nn.Linear(dim, dim)
        self.score = nn.Linear(dim, 1, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """`[B, T, W]`, `[B, T]` -> `[B, W]`."""
        x = masked(x, mask)
        scores = self.score(torch.tanh(self.hidden(x)))
        # Not -inf: the softmax of a text without tokens must stay finite.
        weights = masked(scores, mask, torch.finfo(scores.dtype).min).softmax(dim=1)
        return (weights * x).sum(dim=1)


class First(nn.Module):
    """The first token, e.g. [CLS]."""

    def __init__(self, dim: int):
        super().__init__()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """`[B, T, W]`, `[B, T]` -> `[B, W]`."""
        return masked(x, mask)[:, 0]


class Last(nn.Module):
    """The last token of the text, which is the one that has seen all others in a decoder."""

    def __init__(self, dim: int):
        super().__init__()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """`[B, T, W]`, `[B, T]` -> `[B, W]`."""
        last = (mask.sum(dim=1) - 1).clamp(min=0)
        return masked(x, mask)[torch.arange(len(x), device=x.device), last]
