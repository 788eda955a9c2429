"""Which special token plays which role: from the files beside a tokenizer, else from the backend itself."""

import json
from pathlib import Path
from typing import Any

import tokenizers

from lexigraft.vocab.vocabulary import ROLES

# Where neither file nor backend says it. One token may stand under several roles.
_SPELLINGS = {
    "pad": ("[PAD]", "<pad>", "<|pad|>", "<|padding|>"),
    "unk": ("[UNK]", "<unk>", "<|unk|>"),
    "bos": ("<s>", "<bos>", "[BOS]", "<|begin_of_text|>", "<|startoftext|>", "<|endoftext|>"),
    "eos": ("</s>", "<eos>", "[EOS]", "<|end_of_text|>", "<|endoftext|>"),
    "cls": ("[CLS]", "<cls>"),
    "sep": ("[SEP]", "<sep>"),
    "mask": ("[MASK]", "<mask>"),
}


def special_roles(folder: Path | None, backend: tokenizers.Tokenizer) -> dict[str, str]:
    """Role -> content of the token that plays it, for every role that the tokenizer knows; contents may repeat.

    `tokenizer_config.json` and `special_tokens_map.json` of `folder` decide. Where they name no role at all (or
    `folder` is None), the usual spellings and the post-processor do; the model's own unk token always counts.
    """
    found = _from_files(folder) if folder is not None else {}
    if not found:
        found = _from_spellings(backend)
        for role, content in _from_post_processor(backend).items():
            found.setdefault(role, content)
    if "unk" not in found and (unk := _unk_of_model(backend)) is not None:
        found["unk"] = unk
    return {role: found[role] for role in ROLES if role in found and backend.token_to_id(found[role]) is not None}


def _from_files(folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        path = folder / name
        if not path.is_file():
            continue
        settings = json.loads(path.read_text(encoding="utf-8"))
        for role in ROLES:
            value = settings.get(f"{role}_token")
            if isinstance(value, dict):  # a serialised AddedToken
                value = value.get("content")
            if value:
                found.setdefault(role, value)
    return found


def _from_spellings(backend: tokenizers.Tokenizer) -> dict[str, str]:
    found: dict[str, str] = {}
    for role, spellings in _SPELLINGS.items():
        for content in spellings:
            if backend.token_to_id(content) is not None:
                found.setdefault(role, content)
    return found


def _from_post_processor(backend: tokenizers.Tokenizer) -> dict[str, str]:
    """bos and eos (or cls and sep) as the token that the backend puts before and after every text."""
    if backend.post_processor is None:
        return {}
    first, last = _tokens_around(json.loads(backend.post_processor.__getstate__()))
    found: dict[str, str] = {}
    if first is not None:
        found["bos" if first != "[CLS]" else "cls"] = first
    if last is not None:
        found["eos" if last != "[SEP]" else "sep"] = last
    return found


def _tokens_around(processor: dict[str, Any]) -> tuple[str | None, str | None]:
    kind = processor["type"]
    if kind == "Sequence":
        for step in processor["processors"]:
            around = _tokens_around(step)
            if around != (None, None):
                return around
    if kind in ("BertProcessing", "RobertaProcessing"):
        return processor["cls"][0], processor["sep"][0]
    if kind == "TemplateProcessing":
        names = [next(iter(part)) for part in processor["single"]]
        contents = [part.get("SpecialToken", {}).get("id") for part in processor["single"]]
        text = names.index("Sequence")
        first = contents[0] if text > 0 else None
        last = contents[-1] if text < len(names) - 1 else None
        return first, last
    return None, None


def _unk_of_model(backend: tokenizers.Tokenizer) -> str | None:
    model = backend.model
    if isinstance(model, tokenizers.models.Unigram):  # its Python object does not tell the id
        unk_id = json.loads(backend.to_str())["model"]["unk_id"]
        return None if unk_id is None else model.id_to_token(unk_id)
    content: str | None = model.unk_token
    return content
