"""Several documents in one row of a batch, none of which sees another: attention and positions of packed rows."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from lexigraft.models.pretrained import Pretrained

_KINDS = {"full_attention", "sliding_attention"}  # what layers may do that `packed_attention` has masks for
_LENGTHS = (7, 5)  # of the documents that a backbone is tried with
_NEAR = 1e-4  # of the largest hidden state


def packed_attention(config: Any, documents: Tensor, *, causal: bool, like: Tensor) -> Tensor | dict[str, Tensor]:
    """What transformers takes as `attention_mask` of packed rows: bool `[B, 1, T, T]`, true where a token sees another.

    `documents` int64 `[B, T]` numbers the documents of a row, -1 at padding, which sees padding. A dictionary where
    some layers see a window only; numbers to be added, in the type of `like`, where attention is computed step by step
    ("eager"), which would add true as 1.
    """
    place = torch.arange(documents.shape[1], device=documents.device)
    seen = documents[:, None, :, None] == documents[:, None, None, :]
    if causal:
        seen = seen & (place[:, None] >= place)
    kinds = getattr(config, "layer_types", None)
    window = getattr(config, "sliding_window", None)
    # Within a document, places are as far from each other as positions. A window that looks back counts the token.
    near = seen if window is None else seen & ((place[:, None] - place).abs() <= (window - 1 if causal else window))
    if kinds is None:  # Mistral: the window, if any, is that of all layers
        return _taken(near, config, like)
    if "sliding_attention" not in kinds:
        return _taken(seen, config, like)
    return {"full_attention": _taken(seen, config, like), "sliding_attention": _taken(near, config, like)}


@torch.no_grad()
def require_packable(encoder: "Pretrained") -> None:
    """`ValueError` for a backbone that does not give packed documents the hidden states that they have apart."""
    kind = encoder.config.model_type
    unknown = set(getattr(encoder.config, "layer_types", None) or ()) - _KINDS
    if unknown or not encoder.takes_positions:
        why = f"has layers of the kind {min(unknown)}" if unknown else "is not told positions"
        raise ValueError(f"rows cannot be packed for the backbone {kind}, which {why}: train on unpacked batches")
    was_training = encoder.training
    encoder.eval()
    try:
        off = _off_by(encoder)
    except (TypeError, ValueError, RuntimeError, AttributeError, KeyError) as error:
        raise ValueError(
            f"rows cannot be packed for the backbone {kind}, which refuses their attention ({error}): train on "
            "unpacked batches"
        ) from error
    finally:
        encoder.train(was_training)
    if not off <= _NEAR:
        raise ValueError(
            f"rows cannot be packed for the backbone {kind}, whose hidden states of packed documents are off by "
            f"{off:.1g} of the largest: train on unpacked batches"
        )


def _off_by(encoder: "Pretrained") -> float:
    """The largest difference of hidden states of documents that are packed from those apart, of the largest state."""
    parameter = next(encoder.parameters())
    drawn = torch.randn(sum(_LENGTHS) + 1, encoder.dim, generator=torch.Generator().manual_seed(0)).to(parameter)
    documents = torch.tensor([i for i, length in enumerate(_LENGTHS) for _ in range(length)] + [-1])
    positions = torch.cat([torch.arange(length) for length in (*_LENGTHS, 1)])
    told = [each.to(parameter.device)[None] for each in (documents >= 0, documents, positions)]
    packed = encoder(drawn[None], told[0], None, told[1], told[2])[0, : sum(_LENGTHS)]
    apart = [encoder(each[None], told[0].new_ones(1, len(each)))[0] for each in drawn[:-1].split(_LENGTHS)]
    expected = torch.cat(apart)
    return float((packed - expected).abs().max() / expected.abs().max())


def _taken(seen: Tensor, config: Any, like: Tensor) -> Tensor:
    if config._attn_implementation != "eager":
        return seen
    return torch.zeros(seen.shape, dtype=like.dtype, device=like.device).masked_fill_(
        ~seen, torch.finfo(like.dtype).min
    )
