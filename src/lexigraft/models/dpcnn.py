"""Deep pyramid CNN: a stack of convolutions over a text that is halved again and again."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lexigraft.models.masking import masked


class DPCNN(nn.Module):
    """Region embedding, then pairs of pre-activation convolutions, a shortcut around each (Johnson & Zhang 2017).

    `blocks` pairs follow the first one, each after a max pooling of width 3 and stride 2, so the top sees about
    2^(blocks + 2) tokens. Each text is halved by its own length, never by that of its batch, and the number of blocks
    is fixed. The features of a piece are given to all tokens that it stands for, so that pooling over tokens
    (model/pooling=max: the paper's) and heads on tokens both work.
    """

    def __init__(self, dim: int, *, channels: int, blocks: int, dropout: float = 0.0):
        super().__init__()
        if blocks < 0:
            raise ValueError(f"blocks={blocks} was given; a number of halvings from 0 up is expected")
        self.region = nn.Conv1d(dim, channels, 3, padding=1)
        self.pairs = nn.ModuleList(_Pair(channels) for _ in range(1 + blocks))
        self.dropout = nn.Dropout(dropout)
        self.width = channels

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """`[B, T, D]` -> `[B, T, channels]`."""
        tokens, mask = x.shape[1], mask.bool()
        # Channels stand before tokens in here: [B, channels, T].
        x = self.dropout(self.region(masked(x, mask).transpose(1, 2)))
        for number, pair in enumerate(self.pairs):
            if number:
                x, mask = _halved(x, mask)
            x = x + pair(x, mask)
        x = x.repeat_interleave(2 ** (len(self.pairs) - 1), dim=2)[:, :, :tokens]
        return x.transpose(1, 2)


class _Pair(nn.Module):
    """W relu(W' relu(x) + b') + b over windows of three, which see zeros beyond the text."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = nn.Conv1d(channels, channels, 3, padding=1)
        self.second = nn.Conv1d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        outside = ~mask.unsqueeze(1)
        x = self.first(F.relu(x).masked_fill(outside, 0.0))
        return self.second(F.relu(x).masked_fill(outside, 0.0))


def _halved(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The maxima `[B, C, ceil(T / 2)]` of windows that begin at every second place, and the mask of what is left."""
    lowest = torch.finfo(x.dtype).min
    x = F.pad(x.masked_fill(~mask.unsqueeze(1), lowest), (0, 2), value=lowest)
    pooled, mask = F.max_pool1d(x, kernel_size=3, stride=2)[:, :, : (mask.shape[1] + 1) // 2], mask[:, ::2]
    return pooled.masked_fill(~mask.unsqueeze(1), 0.0), mask
