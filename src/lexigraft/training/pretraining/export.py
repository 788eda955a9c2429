"""A trained language model as a folder that transformers opens: config, weights, tokenizer."""

import re
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from lexigraft.embeddings.body import quiet_transformers
from lexigraft.models.language import LanguageModel, word_vectors
from lexigraft.models.language_building import language_head
from lexigraft.models.language_head import LanguageHead, model_class
from lexigraft.models.language_replaced import ReplacedModel
from lexigraft.models.pretrained import Pretrained
from lexigraft.permissions import as_any_new_file
from lexigraft.surgery.architecture import takes_null
from lexigraft.surgery.positions import moved_limit, shifted_positions
from lexigraft.surgery.tokenizer_files import save_tokenizer
from lexigraft.vocab.tokenizer import Tokenizer

_TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_ID = re.compile(r"(pad|bos|eos|cls|sep|mask|unk)_token_id")
_EQUIVALENT = {"bos": "cls", "cls": "bos", "eos": "sep", "sep": "eos"}  # one stands in where there is no other
_NOWHERE = -1  # an id that no text contains, where a config cannot say null


def write_pretrained(
    model: LanguageModel,
    tokenizer: Tokenizer,
    folder: Path,
    *,
    weights: Literal["fp32", "fp16", "bf16"] = "fp32",
    part: Literal["main", "generator"] = "main",
) -> list[str]:
    """Write `config.json`, `model.safetensors` and the tokenizer's files; sentences on what has to be known of them.

    The folder is that of a masked or causal language model, of ELECTRA that of its discriminator, or with
    `part="generator"` of its generator. It gives the logits of the model, whose adapters must be merged before.
    `ValueError` for a generator of a model that has none, and numbers that fp16 cannot hold.
    """
    replaced = isinstance(model, ReplacedModel)
    if part == "generator" and not replaced:
        raise ValueError("the generator was asked for, which only objective=replaced trains: leave out export.part")
    encoder: Any = model.encoder
    head: LanguageHead | None = language_head(model)
    if replaced:
        generator: Any = model.heads["generator"]
        encoder, head = (generator.encoder, generator.head) if part == "generator" else (encoder, None)
    rows = word_vectors(model.embedding).detach().cpu()
    pad_id = model.embedding.lookup.padding_idx
    assert pad_id is not None
    config, body = _with_positions(encoder, pad_id)
    config = _with_ids(config, tokenizer) | {"vocab_size": len(rows)}
    tied = head is None or head.rows is None
    built = _empty({**config, "tie_word_embeddings": tied}, None if head is None else encoder.causal)
    _fill(built, rows, body, head, model)
    if weights == "fp16":
        _require_small(built)
    built.to(_TYPES[weights])
    with quiet_transformers():
        built.save_pretrained(folder)
    for written in folder.glob("*.safetensors"):
        as_any_new_file(written)
    return save_tokenizer(tokenizer, folder, config, None)


def _empty(config: dict[str, Any], causal: bool | None) -> Any:
    """transformers' model of a config, whose weights are yet to be copied; None: a discriminator."""
    from transformers import AutoConfig, AutoModelForPreTraining

    values = dict(config)
    of = AutoConfig.for_model(values.pop("model_type"), **values)
    kept = torch.random.get_rng_state()
    with quiet_transformers():
        kind = AutoModelForPreTraining if causal is None else model_class(causal)
        built = kind.from_config(of, dtype=torch.float32).eval()
    torch.random.set_rng_state(kept)
    return built


@torch.no_grad()
def _fill(built: Any, rows: Tensor, body: dict[str, Tensor], head: LanguageHead | None, model: LanguageModel) -> None:
    """Copy all weights: rows, backbone, head."""
    words = built.get_input_embeddings()
    words.weight.copy_(rows)
    missing, unexpected = built.base_model.load_state_dict(body, strict=False)
    of_words = {
        name for name, weight in built.base_model.state_dict().items() if weight.data_ptr() == words.weight.data_ptr()
    }
    assert not unexpected, f"the backbone has no place for {unexpected}"
    assert set(missing) <= of_words, f"the backbone lacks {missing}"
    if head is None:
        built.discriminator_predictions.load_state_dict(model.heads["main"].parts.state_dict())  # type: ignore[union-attr]
        return
    decoder = built.get_output_embeddings()
    if head.rows is not None:
        decoder.weight.copy_(head.rows)
    if head.bias is not None:
        decoder.bias.copy_(head.bias)
    own = dict(built.named_parameters())
    for name, weight in head.parts.state_dict().items():
        own[name].copy_(weight)


def _with_positions(encoder: Pretrained, pad_id: int) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Config and weights of the backbone, positions moved to where this padding id lets them begin."""
    config: dict[str, Any] = {**encoder.config.to_dict(), "model_type": encoder.config.model_type}
    weights = dict(encoder.backbone.state_dict())
    moved = shifted_positions(config, weights, pad_id)
    change = max((len(table) - len(weights[name]) for name, table in moved.items()), default=0)
    return (moved_limit(config, change) if moved else config), weights | moved


def _with_ids(config: dict[str, Any], tokenizer: Tokenizer) -> dict[str, Any]:
    """The config with the tokenizer's special tokens wherever it names one, and its padding token."""
    roles = tokenizer.vocabulary.roles
    found = dict(config)
    for key, old in config.items():
        role = _ID.fullmatch(key)
        if role is None or (old is None and role[1] != "pad"):
            continue
        new = roles.get(role[1], roles.get(_EQUIVALENT.get(role[1], "")))
        if new is None and not takes_null(config["model_type"], key):
            new = _NOWHERE
        found[key] = new
    return found


def _require_small(built: Any) -> None:
    largest = torch.finfo(torch.float16).max
    for name, weight in built.named_parameters():
        if weight.abs().max() > largest:
            raise ValueError(f"{name} holds numbers above {largest:.0f}, which fp16 cannot: use bf16 or fp32")
