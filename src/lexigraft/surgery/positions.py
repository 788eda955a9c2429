"""Models whose positions begin behind the padding token's id: what to do when that id changes.

RoBERTa numbers the tokens of a text pad + 1, pad + 2, ...; with another padding token every token would silently meet
another row of the position table.
"""

from collections.abc import Mapping
from typing import Any

import torch

from lexigraft.surgery.config import token_id
from lexigraft.vocab.renumber import renumber
from lexigraft.vocab.tokenizer import Tokenizer

# Those with one learned table, which can be moved along.
_LEARNED = {
    "altclip_text_model", "bridgetower_text_model", "camembert", "clap_text_model", "data2vec-text", "esm",
    "layoutlmv3", "longformer", "markuplm", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod",
}  # fmt: skip
# Sinusoids, several tables, or a padding id that the code fixes (MPNet): here the padding token must keep its id.
_FIXED = {
    "fsmt", "ibert", "kosmos-2", "kosmos-2.5", "lilt", "luke", "m2m_100", "mpnet", "nllb-moe", "prophetnet",
    "seamless_m4t", "seamless_m4t_v2", "speech_to_text", "trocr", "xglm",
}  # fmt: skip
_MPNET_PAD = 1
_TABLE = "position_embeddings.weight"
# A table that is moved further than that would mostly be rows that are never read.
_LARGEST_SHIFT = 1000


def fitting_tokenizer(config: Mapping[str, Any], target: Tokenizer) -> tuple[Tokenizer, str | None]:
    """The tokenizer, its padding token at the id that the model's positions demand, and a sentence if it was moved.

    The padding token swaps ids with the one at the source's padding id where the position table cannot be moved along.
    `ValueError` if there is no padding token, or no such id.
    """
    text = _text_config(config)
    if text is None:
        return target, None
    if "pad" not in target.vocabulary.roles:
        raise ValueError(
            f"{text['model_type']} counts positions from the padding token's id, and the target tokenizer has no "
            "padding token: add one to its files"
        )
    old, new = _pad(text), target.pad_id
    if new == old or (text["model_type"] in _LEARNED and new <= _LARGEST_SHIFT):
        return target, None
    if old >= len(target.vocabulary):
        raise ValueError(
            f"{text['model_type']} needs its padding token at id {old}, and the target tokenizer has only "
            f"{len(target.vocabulary)} tokens: choose a larger one"
        )
    order = list(range(len(target.vocabulary)))
    order[old], order[new] = new, old
    return renumber(target, order), (
        f"the padding token was moved from id {new} to {old}, where the positions of {text['model_type']} begin; "
        f"the token {target.backend.id_to_token(old)!r} has id {new} instead"
    )


def shifted_positions(
    config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], new_pad: int | None
) -> dict[str, torch.Tensor]:
    """New position tables (and old buffers of their size) for a padding token at `new_pad`; empty if none changes.

    The first real token still meets the same row: row new_pad + 1 + i is the old row pad + 1 + i. `tensors` are those
    of the checkpoint whose names contain "position" or "token_type_ids".
    """
    text = _text_config(config)
    if text is None or text["model_type"] not in _LEARNED or new_pad is None or new_pad == _pad(text):
        return {}
    old_pad = _pad(text)
    moved: dict[str, torch.Tensor] = {}
    for name, table in tensors.items():
        if name == _TABLE or name.endswith(f"embeddings.{_TABLE}"):
            # The rows below the padding token's are never read: they repeat it.
            below = table[old_pad : old_pad + 1].expand(new_pad, -1)
            moved[name] = torch.cat([below, table[old_pad:]])
    if moved:  # buffers that older checkpoints hold
        length = len(next(iter(moved.values())))
        for name, buffer in tensors.items():
            if name.endswith("embeddings.position_ids"):
                moved[name] = torch.arange(length, dtype=buffer.dtype)[None]
            elif name.endswith("embeddings.token_type_ids"):
                moved[name] = torch.zeros(1, length, dtype=buffer.dtype)
    return moved


def moved_limit(config: dict[str, Any], change: int) -> dict[str, Any]:
    """The config with `change` more positions."""
    text = _text_config(config)
    assert text is not None
    limit = text["max_position_embeddings"] + change
    if text.get("model_type") == config.get("model_type"):
        return {**config, "max_position_embeddings": limit}
    return {**config, "text_config": {**config["text_config"], "max_position_embeddings": limit}}


def usable_positions(config: Mapping[str, Any]) -> int | None:
    """The longest text in tokens, its special ones included; None where the config names no limit."""
    text = _text_config(config)
    if text is not None and text["model_type"] in _LEARNED | {"mpnet", "ibert", "luke", "lilt"}:
        limit = text.get("max_position_embeddings")
        return None if limit is None else limit - _pad(text) - 1
    if "t5" in str(config.get("model_type")):  # relative positions; the number in its config bounds nothing
        return None
    inner = {**config, **(config.get("text_config") or {})}
    return inner.get("max_position_embeddings") or inner.get("n_positions")


def _text_config(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The config, or that of its text part, if its positions are counted from the padding token."""
    for part in (config, config.get("text_config") or {}):
        if part.get("model_type") in _LEARNED | _FIXED:
            return dict(part)
    return None


def _pad(text: dict[str, Any]) -> int:
    if text["model_type"] == "mpnet":
        return _MPNET_PAD
    pad = token_id(text, "pad_token_id")
    if pad is None:
        raise ValueError(f"the config of this {text['model_type']} has no pad_token_id, from which its positions count")
    return pad
