"""A pretrained transformers backbone as an encoder: its own layers, fed with transplanted word embeddings."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lexigraft.models.encoders import attendable


def load_backbone(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Config (plain values) and weights (float32) of a checkpoint folder, without word embeddings, pooler and decoder.

    Reads what `AutoModel.from_pretrained` reads: safetensors or .bin, one file or several.
    """
    from transformers import AutoModel

    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder} holds no config.json: the folder of a transformers checkpoint is expected")
    model = AutoModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    config = json.loads(model.config.to_json_string(use_diff=False))
    backbone, _ = _without_words(model)
    return config, dict(backbone.state_dict())


class Pretrained(nn.Module):
    """Word vectors `[B, T, D]` -> hidden states `[B, T, width]` of a transformers backbone.

    Any architecture of `AutoModel` that takes `inputs_embeds`; of an encoder-decoder the encoder. `config` is what
    `load_backbone` returns; the weights are random until `load_weights` or `load_state_dict` sets them. `layers` keeps
    the first so many layers. The backbone adds positions, segments and the scale of word vectors as the source did.
    `causal` tells whether a token sees only those before it.
    `ValueError` if `dim` is not the width of the source's word embeddings, or `layers` is more than there are.
    """

    def __init__(self, dim: int, *, config: Mapping[str, Any], layers: int | None = None):
        super().__init__()
        from transformers import AutoModel

        built = _config(config, layers)
        self.backbone, words = _without_words(AutoModel.from_config(built, dtype=torch.float32))
        if words.embedding_dim != dim:
            raise ValueError(
                f"embedding rows of width {dim} do not fit the backbone {built.model_type}, whose word embeddings are "
                f"{words.embedding_dim} wide: use rows of that width (transplant.dim={words.embedding_dim})"
            )
        # BART and Gemma multiply inside the embedding layer that is gone.
        self.scale = float(getattr(words, "scalar_embed_scale", getattr(words, "embed_scale", 1.0)))
        self.width: int = built.hidden_size
        self.max_tokens = _max_tokens(built, self.backbone)
        self.causal = any(getattr(module, "is_causal", False) for module in self.backbone.modules())

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Copy the source's weights from `load_backbone`; those of layers that are not kept are left out."""
        missing, _ = self.backbone.load_state_dict(weights, strict=False)
        if missing:
            raise ValueError(f"the checkpoint lacks {len(missing)} weights of its backbone, e.g. {missing[0]}")

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """`[B, T, D]` -> `[B, T, width]`; `ValueError` if T exceeds the backbone's positions."""
        if self.max_tokens is not None and x.shape[1] > self.max_tokens:
            raise ValueError(
                f"a text of {x.shape[1]} tokens was given to a backbone with positions for {self.max_tokens}: "
                "cut the texts (trainer.max_tokens)"
            )
        attention_mask = attendable(mask).long()
        options = {"use_cache": False} if self.causal else {}
        return self.backbone(
            inputs_embeds=x * self.scale, attention_mask=attention_mask, **options
        ).last_hidden_state


def _config(config: Mapping[str, Any], layers: int | None) -> Any:
    """The transformers config of plain values, cut to the first `layers` layers and to as few words as can be."""
    from transformers import AutoConfig

    values = dict(config)
    built = AutoConfig.for_model(values.pop("model_type"), **values)
    # The word embeddings are thrown away: make them small. RoBERTa counts positions from the padding id, which
    # therefore must stay what it was, and torch demands that it be a row.
    built.vocab_size = (getattr(built, "pad_token_id", None) or 0) + 1
    if layers is not None:
        if not 1 <= layers <= built.num_hidden_layers:
            raise ValueError(
                f"layers={layers} was given; the backbone {built.model_type} has 1 to {built.num_hidden_layers} to keep"
            )
        built.num_hidden_layers = layers
        if getattr(built, "layer_types", None):  # Gemma 2, Qwen: which layers attend to a window
            built.layer_types = built.layer_types[:layers]
    return built


def _without_words(model: Any) -> tuple[nn.Module, nn.Embedding]:
    """The part of the model that turns word vectors into hidden states, and the word embeddings taken out of it."""
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    words = model.get_input_embeddings()
    model.set_input_embeddings(nn.Identity())
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # its output is not used: it would be a dead weight
    return model, words


def _max_tokens(config: Any, backbone: nn.Module) -> int | None:
    """The longest text that the backbone has positions for; None: no limit (T5)."""
    limit = getattr(config, "max_position_embeddings", None)
    if limit is None:
        return None
    for name, module in backbone.named_modules():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            return limit - module.padding_idx - 1  # type: ignore[operator]
    return limit
