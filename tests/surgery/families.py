"""A tiny model of many families, each with the tokenizer that its kind has, saved and transplanted."""

import json
from pathlib import Path
from typing import Any

import torch
import transformers as t
from safetensors.torch import load_file

from lexigraft.embeddings.checkpoint import read_checkpoint
from lexigraft.surgery.checkpoint import Written, fitted, open_body, write_checkpoint
from lexigraft.transplant.engine import Transplant
from lexigraft.transplant.statistics import normal
from lexigraft.vocab.tokenizer import Tokenizer

_SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
_ENCODER = {**_SMALL, "max_position_embeddings": 66}
_DECODER = {**_ENCODER, "num_key_value_heads": 2}
_GPT2 = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64, "bos_token_id": 0, "eos_token_id": 0}
_SEQ2SEQ = {
    "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 64,
}  # fmt: skip
_T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
_ROBERTA_IDS = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
_T5_IDS = {"pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}

# Family -> (the tokenizer's fixture, the class of the model, settings)
FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": ("wordpiece", "BertForMaskedLM", _ENCODER),
    "bert_bare": ("wordpiece", "BertModel", _ENCODER),
    "roberta": ("roberta_bpe", "RobertaForMaskedLM", {**_ENCODER, **_ROBERTA_IDS, "type_vocab_size": 1}),
    "xlm_r": ("unigram", "XLMRobertaForMaskedLM", {**_ENCODER, **_ROBERTA_IDS}),
    "longformer": ("roberta_bpe", "LongformerForMaskedLM", {**_ENCODER, **_ROBERTA_IDS, "attention_window": 8}),
    "mpnet": ("roberta_bpe", "MPNetForMaskedLM", _ENCODER),
    "distilbert": ("wordpiece", "DistilBertForMaskedLM", {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}),
    "electra": ("wordpiece", "ElectraForMaskedLM", {**_ENCODER, "embedding_size": 16}),
    "albert": ("unigram", "AlbertForMaskedLM", {**_ENCODER, **_ROBERTA_IDS, "embedding_size": 16}),
    "deberta": ("unigram", "DebertaV2ForMaskedLM", {**_ENCODER, "pad_token_id": 1, "relative_attention": True}),
    "rembert": (
        "unigram",
        "RemBertForMaskedLM",
        {**_ENCODER, **_ROBERTA_IDS, "input_embedding_size": 16, "output_embedding_size": 24},
    ),
    "modernbert": (
        "roberta_bpe",
        "ModernBertForMaskedLM",
        {**_ENCODER, **_ROBERTA_IDS, "cls_token_id": 0, "sep_token_id": 2},
    ),
    "gpt2": ("byte_bpe", "GPT2LMHeadModel", _GPT2),
    "gptj": ("byte_bpe", "GPTJForCausalLM", {**_GPT2, "rotary_dim": 4}),
    "gpt_neox": ("byte_bpe", "GPTNeoXForCausalLM", {**_ENCODER, "bos_token_id": 0, "eos_token_id": 0}),
    "llama": ("sp_bpe", "LlamaForCausalLM", {**_DECODER, "tie_word_embeddings": False}),
    "qwen2": (
        "byte_bpe",
        "Qwen2ForCausalLM",
        {**_DECODER, "tie_word_embeddings": True, "bos_token_id": 0, "eos_token_id": 0},
    ),
    "opt": (
        "roberta_bpe",
        "OPTForCausalLM",
        {**_SMALL, **_ROBERTA_IDS, "bos_token_id": 2, "ffn_dim": 64, "word_embed_proj_dim": 16},
    ),
    "xglm": ("unigram", "XGLMForCausalLM", {"d_model": 16, "ffn_dim": 32, "num_layers": 2, "attention_heads": 2}),
    "t5": ("unigram", "T5ForConditionalGeneration", {**_T5, **_T5_IDS}),
    "t5_untied": ("unigram", "T5ForConditionalGeneration", {**_T5, **_T5_IDS, "tie_word_embeddings": False}),
    "bart": (
        "roberta_bpe",
        "BartForConditionalGeneration",
        {**_SEQ2SEQ, **_ROBERTA_IDS, "decoder_start_token_id": 2, "forced_eos_token_id": 2},
    ),
    "mbart": ("unigram", "MBartForConditionalGeneration", {**_SEQ2SEQ, **_ROBERTA_IDS}),
    "m2m": ("unigram", "M2M100ForConditionalGeneration", {**_SEQ2SEQ, **_ROBERTA_IDS, "decoder_start_token_id": 2}),
    "marian_apart": (
        "unigram",
        "MarianMTModel",
        {**_SEQ2SEQ, **_T5_IDS, "forced_eos_token_id": 2, "share_encoder_decoder_embeddings": False},
    ),
    "prophetnet": (
        "wordpiece",
        "ProphetNetForConditionalGeneration",
        {
            "hidden_size": 16, "num_encoder_layers": 1, "num_decoder_layers": 1, "num_encoder_attention_heads": 2,
            "num_decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
            "max_position_embeddings": 64, "bos_token_id": 2, "eos_token_id": 3, "decoder_start_token_id": 2,
        },
    ),
}  # fmt: skip


def build(family: str, size: int) -> Any:
    """The family's model for a vocabulary of that size; the same weights each time, none of them zero."""
    torch.manual_seed(0)
    _, name, settings = FAMILIES[family]
    size = -(-size // 64) * 64 if family.startswith("t5") else size  # padded to a round number, as T5's is
    model_class = getattr(t, name)
    model = model_class(model_class.config_class(vocab_size=size, **settings))
    if hasattr(model, "final_logits_bias"):
        model.final_logits_bias = torch.randn(1, size)
    with torch.no_grad():
        for parameter, tensor in model.named_parameters():
            if parameter.endswith("bias") or not tensor.any():
                tensor.normal_(0, 0.3)
    model.tie_weights()
    return model.eval()


def save(model: Any, tokenizer: Tokenizer, folder: Path, **options: Any) -> Path:
    """The model's checkpoint with the tokenizer's files."""
    model.save_pretrained(folder, **options)
    tokenizer.save(folder)
    return folder


def transplanted(
    source_folder: Path, target: Tokenizer, to: Path, method: Any = None, **options: Any
) -> tuple[Tokenizer, Written, list[str]]:
    """Write the transplanted checkpoint to the new folder `to`; the target as fitted, and the warnings."""
    source = read_checkpoint(str(source_folder))
    body = open_body(source)
    target, warnings = fitted(body, target)
    method = method or Transplant(fill=[normal])
    made = method(source, target, 0)
    to.mkdir()
    written = write_checkpoint(body, source, made, to, again=lambda m: method(m, target, 0).matrix, **options)
    return target, written, warnings + list(written.warnings)


def reopened(family: str, folder: Path) -> Any:
    """The model of a folder, opened by the class that saved it; nothing may be missing or left over."""
    named = json.loads((folder / "config.json").read_text())["architectures"][0]
    model, info = getattr(t, named).from_pretrained(folder, output_loading_info=True, local_files_only=True)
    assert {key: value for key, value in info.items() if value} == {}, family
    return model.eval()


def stored(folder: Path) -> dict[str, torch.Tensor]:
    """Every tensor of a folder's safetensors files."""
    return {name: tensor for path in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(path).items()}


def logits(model: Any, ids: list[list[int]], **more: Any) -> torch.Tensor:
    """Logits (or hidden states of a bare model) of a batch of ids of one length."""
    batch = torch.tensor(ids)
    if model.config.is_encoder_decoder:
        more["decoder_input_ids"] = batch
    with torch.no_grad():
        output = model(input_ids=batch, **more)
    return output.logits if hasattr(output, "logits") else output.last_hidden_state
