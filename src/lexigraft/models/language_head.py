"""The language model's head of any transformers architecture, its decoder over word rows of ours."""

import warnings
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lexigraft.embeddings.body import quiet_transformers
from lexigraft.models.pretrained import built_config

_WORDS = 8  # of the model that a head is taken from and tried on
_NEAR = 1e-5  # of the largest logit
_LARGE = 10.0  # rows whose logits show a cap, which small ones would not


class LanguageHead(nn.Module):
    """Hidden states `[N, W]` -> logits `[N, V]` over `size` words, by the head that transformers gives a backbone.

    `config` is what `load_backbone` returns. `parts` are the architecture's own layers below the decoder, freshly
    drawn. `bias` `[V]` is there where the decoder has one, and starts at zero. `tied`: the decoder's rows are those of
    the embedding; otherwise `rows` `[V, D]` are its own, drawn anew.
    `ValueError` for an architecture without such a head, or whose head does more than its layers one after the other.
    """

    def __init__(self, config: Mapping[str, Any], *, causal: bool, size: int, tied: bool = True):
        super().__init__()
        model = _smallest(config, causal)
        name, decoder = _decoder(model)
        tried = _tried(model, decoder)
        self.parts = _parts(model, name, decoder)
        _require_same(self.parts, decoder, *tried, model.config.model_type)
        self.parts.train()
        self.bias = None if decoder.bias is None else nn.Parameter(torch.zeros(size))
        self.rows: nn.Parameter | None = None
        if not tied:
            spread = getattr(model.config, "initializer_range", 0.02)
            self.rows = nn.Parameter(torch.randn(size, decoder.in_features) * spread)
        self.dim: int = decoder.in_features

    def forward(self, states: Tensor, rows: Tensor) -> Tensor:
        """`[N, W]` and the embedding's rows `[V, D]` -> logits `[N, V]`."""
        return F.linear(self.parts(states), rows if self.rows is None else self.rows, self.bias)


def model_class(causal: bool) -> Any:
    """The class of transformers that finds the language model of a config."""
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    return AutoModelForCausalLM if causal else AutoModelForMaskedLM


def _smallest(config: Mapping[str, Any], causal: bool) -> Any:
    """The language model of a config with one layer and few words."""
    built = built_config(config, layers=1)
    built.vocab_size = max(built.vocab_size, _WORDS)
    if built.is_encoder_decoder:
        raise ValueError(
            f"{built.model_type} has an encoder and a decoder, and a language model of one of them is none that "
            "transformers has: use another backbone"
        )
    try:
        with quiet_transformers(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = model_class(causal).from_config(built, dtype=torch.float32)
    except ValueError as error:
        named = "causal" if causal else "masked"
        raise ValueError(
            f"transformers has no {named} language model of the type {built.model_type}: use another objective or "
            "another backbone"
        ) from error
    return model.eval()


def _decoder(model: Any) -> tuple[str, nn.Linear]:
    """Name and layer that turns into logits."""
    decoder = model.get_output_embeddings()
    names = [name for name, module in model.named_modules() if module is decoder]
    if not names or not isinstance(decoder, nn.Linear):
        raise ValueError(f"the head of {model.config.model_type} has no linear decoder: use another backbone")
    return names[0], decoder


def _parts(model: Any, name: str, decoder: nn.Linear) -> nn.Sequential:
    """The children of a language model besides its backbone and decoder; the model is left without the decoder."""
    parts = OrderedDict((own, child) for own, child in model.named_children() if child is not model.base_model)
    top, _, within = name.partition(".")
    if not within:
        del parts[top]
        return nn.Sequential(parts)
    parent, _, last = within.rpartition(".")
    holder = parts[top].get_submodule(parent)
    setattr(holder, last, nn.Identity())
    for module in parts[top].modules():  # BERT knows the decoder's bias by a second name
        for known, parameter in list(module._parameters.items()):
            if parameter is decoder.bias and parameter is not None:
                module._parameters[known] = None
    return nn.Sequential(parts)


@torch.no_grad()
def _tried(model: Any, decoder: nn.Linear) -> tuple[Tensor, Tensor]:
    """Hidden states `[1, N, W]` of some words, and transformers' own logits of them under a decoder drawn anew."""
    generator = torch.Generator().manual_seed(0)
    for parameter in decoder.parameters():
        parameter.copy_(_LARGE * torch.randn(parameter.shape, generator=generator))
    ids = torch.arange(_WORDS)[None]
    return model.base_model(input_ids=ids).last_hidden_state, model(input_ids=ids).logits


@torch.no_grad()
def _require_same(parts: nn.Module, decoder: nn.Linear, states: Tensor, expected: Tensor, kind: str) -> None:
    """`ValueError` if `parts` and decoder, one after the other, do not make the expected logits of hidden states."""
    off = float("inf")
    # DistilBERT's children are not in the order of its forward pass, and one of them is a loss.
    with suppress(TypeError, RuntimeError):
        ours = F.linear(parts(states), decoder.weight, decoder.bias)
        off = float((ours - expected).abs().max() / expected.abs().max())
    if not off <= _NEAR:
        raise ValueError(
            f"the language model's head of {kind} is more than its layers one after the other, which is all that can "
            "be put on transplanted rows: use another backbone, such as bert, electra, gpt2 or llama"
        )
