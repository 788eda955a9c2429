"""Tiny transformers models of many families, with weights large enough that a wrong position or scale shows."""

from pathlib import Path
from typing import Any

import torch
import transformers as hf

SIZES: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 24,
    "initializer_range": 0.3,
}
ROBERTA = {**SIZES, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "type_vocab_size": 1}
T5 = {"vocab_size": 40, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 3, "num_heads": 2}
FAMILIES: dict[str, Any] = {
    "bert": lambda: hf.BertConfig(**SIZES),
    "albert": lambda: hf.AlbertConfig(**SIZES, embedding_size=8),
    "roberta": lambda: hf.RobertaConfig(**ROBERTA),
    "xlm-roberta": lambda: hf.XLMRobertaConfig(**ROBERTA),
    "gpt2": lambda: hf.GPT2Config(vocab_size=40, n_embd=16, n_layer=3, n_head=2, n_positions=24, initializer_range=0.3),
    "t5": lambda: hf.T5Config(**T5, pad_token_id=0, initializer_factor=3.0),
    "llama": lambda: hf.LlamaConfig(**SIZES, num_key_value_heads=1),
    "qwen3": lambda: hf.Qwen3Config(**SIZES, num_key_value_heads=1, head_dim=8),
    "gemma2": lambda: hf.Gemma2Config(**SIZES, num_key_value_heads=1, head_dim=8),
    "bart": lambda: hf.BartConfig(
        vocab_size=40,
        d_model=16,
        encoder_layers=3,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        max_position_embeddings=24,
        scale_embedding=True,
        init_std=0.3,
    ),
}
CAUSAL = ("gpt2", "llama", "qwen3", "gemma2")


def build(family: str) -> Any:
    """The model of a family, whole, in evaluation mode."""
    torch.manual_seed(0)
    return hf.AutoModel.from_config(FAMILIES[family]()).eval()


def save(family: str, folder: Path, **options: Any) -> Any:
    """Write the checkpoint of a family; the model."""
    model = build(family)
    model.save_pretrained(folder, **options)
    return model


def encoder_of(model: Any) -> Any:
    """The model, or the encoder of an encoder-decoder."""
    return model.get_encoder() if model.config.is_encoder_decoder else model
