"""Tiny language models of transformers, with weights large enough that a wrong position, scale or mask shows."""

import json
from typing import Any

import torch
import transformers as hf

from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.language import LanguageModel
from lexigraft.models.language_building import language_model
from lexigraft.models.language_replaced import ReplacedModel

SIZE = 30  # words; the padding token is the first one
SIZES: dict[str, Any] = {
    "vocab_size": SIZE,
    "pad_token_id": 0,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 24,
    "initializer_range": 0.3,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "bert": SIZES,
    "electra": {**SIZES, "embedding_size": 8},
    "roberta": {**SIZES, "pad_token_id": 1},
    "albert": {**SIZES, "embedding_size": 8},
    "modernbert": {**SIZES, "local_attention": 6, "global_attn_every_n_layers": 2},
    "gpt2": {**SIZES},
    "llama": {**SIZES, "num_key_value_heads": 1, "tie_word_embeddings": False},
    "qwen2": {**SIZES, "num_key_value_heads": 1},
    "gemma3_text": {**SIZES, "num_key_value_heads": 1, "head_dim": 8, "sliding_window": 3},
    "mistral": {**SIZES, "num_key_value_heads": 1, "sliding_window": 3},
}
CAUSAL = ("gpt2", "llama", "qwen2", "gemma3_text", "mistral")


def config_of(family: str, **settings: Any) -> dict[str, Any]:
    """The config of a family in plain values."""
    built = hf.AutoConfig.for_model(family, **{**FAMILIES[family], **settings})
    return json.loads(built.to_json_string(use_diff=False))


def theirs(family: str, **settings: Any) -> Any:
    """transformers' language model of a family, in evaluation mode; its padding row is zero."""
    torch.manual_seed(0)
    kind = hf.AutoModelForCausalLM if family in CAUSAL else hf.AutoModelForMaskedLM
    model = kind.from_config(hf.AutoConfig.for_model(family, **{**FAMILIES[family], **settings})).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):  # which start at zero
                parameter.normal_()
        model.get_input_embeddings().weight[model.config.pad_token_id or 0] = 0
    return model


def ours(family: str, kind: str | None = None, **settings: Any) -> LanguageModel:
    """Our model of a family, freshly drawn, in evaluation mode."""
    torch.manual_seed(0)
    config = config_of(family, **settings)
    width = config.get("embedding_size") or config.get("hidden_size") or config["n_embd"]
    spec = {
        "kind": kind or ("causal" if family in CAUSAL else "masked"),
        "rows": [SIZE, width],
        "pad_id": config["pad_token_id"] or 0,
        "project_to": None,
        "config": config,
        "layers": None,
        "tied": bool(config["tie_word_embeddings"]),
        "generator": 0.5,
        "from_source": False,
    }
    model = language_model(spec)
    with torch.no_grad():
        model.embedding.lookup.weight[2 if spec["pad_id"] == 1 else 1 :].normal_()
    return model.eval()


def replaced() -> ReplacedModel:
    """A tiny ELECTRA."""
    model = ours("electra", "replaced")
    assert isinstance(model, ReplacedModel)
    return model


def embedded(rows: torch.Tensor, pad_id: int = 0) -> TransplantedEmbedding:
    """The embedding of rows."""
    return TransplantedEmbedding(rows, pad_id)
