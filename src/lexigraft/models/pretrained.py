"""A pretrained transformers backbone as an encoder: its own layers, fed with transplanted word embeddings."""

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lexigraft.embeddings.body import quiet_transformers
from lexigraft.models.masking import attendable
from lexigraft.models.packed_rows import packed_attention

Attention = Literal["eager", "sdpa", "flex_attention", "flash_attention_2", "flash_attention_3", "flash_attention_4"]


def load_backbone(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Config (plain values) and weights (float32) of a checkpoint folder: what `Pretrained` is built from.

    Word embeddings, pooler and decoder are left out. Reads safetensors and .bin, in one file or several.
    `ValueError` if the checkpoint lacks weights that transformers would then draw at random.
    """
    from transformers import AutoModel

    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder} has no config.json: the folder of a transformers checkpoint is expected")
    with quiet_transformers():
        model, loading = AutoModel.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
    config = json.loads(model.config.to_json_string(use_diff=False))
    config.pop("_name_or_path", None)  # where the source lay: of no use elsewhere
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    backbone, _ = without_words(model)
    require_weights(folder, config, {names[id(p)] for p in backbone.parameters()} & set(loading["missing_keys"]))
    return config, dict(backbone.state_dict())


def require_weights(folder: Path, config: Mapping[str, Any], lacking: set[str]) -> None:
    """`ValueError` if a checkpoint lacks weights of its backbone."""
    if lacking:
        raise ValueError(f"{folder} lacks {len(lacking)} weights of its {config['model_type']}: {min(lacking)}, ...")


class Pretrained(nn.Module):
    """Word vectors `[B, T, D]` -> hidden states `[B, T, width]` of a transformers backbone.

    Any architecture of `AutoModel` that takes `inputs_embeds`; of an encoder-decoder the encoder. `config` is
    what the function `load_backbone` returns; weights are random until the method of that name sets them, or
    `load_state_dict`. `layers` keeps the first so many, `attention` is one of transformers' ways to compute it.
    Positions, segments and the scale of word vectors are the source's. `causal`: a token sees only those before it.
    `max_tokens`: the longest text, None for no limit.
    `ValueError` if `dim` is not the width of the source's word embeddings, or `layers` is out of range.
    """

    def __init__(
        self, dim: int, *, config: Mapping[str, Any], layers: int | None = None, attention: Attention | None = None
    ):
        super().__init__()
        from transformers import AutoModel

        given = {} if attention is None else {"attn_implementation": attention}
        built = built_config({**config, **given}, layers)
        self.dim = dim
        self.config: Any = built
        self.backbone, words = without_words(AutoModel.from_config(built, dtype=torch.float32))
        if words.embedding_dim != dim:
            raise ValueError(
                f"embedding rows of width {dim} do not fit the backbone {built.model_type}, whose word embeddings "
                f"are {words.embedding_dim} wide: use rows of that width"
            )
        # BART and Gemma multiply inside the embedding layer that is gone.
        self.scale = float(getattr(words, "scalar_embed_scale", getattr(words, "embed_scale", 1.0)))
        self.width: int = built.hidden_size
        self.max_tokens = longest_text(built, self.backbone)
        # RoBERTa has one segment, DeBERTa none; GPT-2 would look segments up among the words, which are gone.
        taken = inspect.signature(self.backbone.forward).parameters
        takes_types = "token_type_ids" in taken
        self.segments = takes_types and (getattr(built, "type_vocab_size", None) or 0) > 1
        self.causal = any(getattr(module, "is_causal", False) for module in self.backbone.modules())
        self.takes_positions = "position_ids" in taken
        self._first_position = _first_position(self.backbone)

    def load_backbone(self, weights: Mapping[str, Tensor]) -> None:
        """Copy the source's weights; those of layers that are not kept are left out."""
        missing, _ = self.backbone.load_state_dict(weights, strict=False)
        assert not missing, f"the backbone lacks {missing}"

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        types: Tensor | None = None,
        documents: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """`[B, T, D]` -> `[B, T, width]`; `ValueError` if T exceeds the backbone's positions.

        `types` int64 `[B, T]` tells the two texts of a pair apart, for backbones that have `segments`. Where rows are
        packed, `documents` int64 `[B, T]` numbers the documents of a row (-1 at padding), of which a token sees its own
        alone, and `positions` counts from 0 in each; `packed_rows.require_packable` says whether a backbone can.
        """
        if self.max_tokens is not None and x.shape[1] > self.max_tokens:
            raise ValueError(
                f"a text has {x.shape[1]} tokens, but the backbone has positions for {self.max_tokens}: "
                "cut the texts (trainer.max_tokens)"
            )
        options: dict[str, Any] = {"use_cache": False} if self.causal else {}
        if types is not None and self.segments:
            options["token_type_ids"] = types
        attention: Any
        if documents is None:
            attention = attendable(mask).long()
        else:
            assert positions is not None
            options["position_ids"] = positions + self._first_position
            attention = packed_attention(self.config, documents, causal=self.causal, like=x)
        output = self.backbone(inputs_embeds=x * self.scale, attention_mask=attention, **options)
        return output.last_hidden_state


def built_config(config: Mapping[str, Any], layers: int | None = None) -> Any:
    """The transformers config of plain values, with the first `layers` layers and as few words as can be."""
    from transformers import AutoConfig

    values = dict(config)
    built = AutoConfig.for_model(values.pop("model_type"), **values)
    # The word embeddings are thrown away: make them small. RoBERTa counts positions from the padding id, which
    # must therefore stay the source's, and torch demands that it be a row.
    built.vocab_size = (getattr(built, "pad_token_id", None) or 0) + 1
    if layers is not None:
        if not 1 <= layers <= built.num_hidden_layers:
            raise ValueError(
                f"layers={layers} was given; the backbone {built.model_type} has {built.num_hidden_layers} layers, "
                "of which at least 1 is kept"
            )
        built.num_hidden_layers = layers
        if getattr(built, "layer_types", None):  # Gemma, Qwen: which layers attend to a window only
            built.layer_types = built.layer_types[:layers]
    return built


def without_words(model: Any) -> tuple[nn.Module, nn.Embedding]:
    """The part of the model from word vectors to hidden states, and the word embeddings taken out of it."""
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    words = model.get_input_embeddings()
    model.set_input_embeddings(nn.Identity())
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # its output is not used: it would be a dead weight
    return model, words


def longest_text(config: Any, backbone: nn.Module) -> int | None:
    """The longest text that the backbone has positions for; None: no limit (T5)."""
    limit = getattr(config, "max_position_embeddings", None)
    return None if limit is None else limit - _first_position(backbone)


def _first_position(backbone: nn.Module) -> int:
    """The number of a text's first position: RoBERTa's follows the padding id."""
    for name, module in backbone.named_modules():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            return int(module.padding_idx) + 1
    return 0
