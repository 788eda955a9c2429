"""What a mask does to features and to attention. `mask` `[B, T]` is true at a text's tokens."""

import torch
from torch import Tensor


def masked(x: Tensor, mask: Tensor, value: float = 0.0) -> Tensor:
    """`x` `[B, T, W]` with `value` outside the mask (multiplying by the mask would let NaN and inf through)."""
    return x.masked_fill(~mask.bool().unsqueeze(-1), value)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """The mean `[B, W]` of `x` `[B, T, W]` over each text's tokens; zero for a text without tokens."""
    return masked(x, mask).sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)


def attendable(mask: Tensor) -> Tensor:
    """The mask as bool, with the first position of texts without tokens made true.

    Attention over nothing is NaN; what it gives at that position is masked again by the pooling.
    """
    mask = mask.bool()
    first = torch.arange(mask.shape[1], device=mask.device) == 0
    return mask | (first & ~mask.any(dim=1, keepdim=True))
