"""The target tokenizer's files in a checkpoint folder, with what its own folder says besides the vocabulary."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers

from lexigraft.embeddings.weights import json_object
from lexigraft.surgery.architecture import default_config
from lexigraft.surgery.positions import usable_positions
from lexigraft.vocab.tokenizer import Tokenizer

# Settings that name no ids, and nothing that tokenizer.json does not say itself.
_KEPT = (
    "additional_special_tokens",
    "chat_template",
    "clean_up_tokenization_spaces",
    "extra_special_tokens",
    "model_max_length",
    "padding_side",
    "spaces_between_special_tokens",
    "split_special_tokens",
    "truncation_side",
)
_SAMPLE = 2000
_TEXTS = ("Two  spaces, 12345 and\nA line.", "naïve Zürich", "这部电影很好")
_MODULE = "tokenization_as_stored"
_CODE = """from transformers import PreTrainedTokenizerFast


class AsStored(PreTrainedTokenizerFast):
    \"\"\"What tokenizer.json says, and nothing that this model's usual tokenizer would make of it.\"\"\"
"""
# What tokenizers without a limit carry: int(1e30).
_NO_LIMIT = 10**15


def save_tokenizer(target: Tokenizer, folder: Path, config: Mapping[str, Any], own: Path | None) -> list[str]:
    """Write the tokenizer such that `AutoTokenizer` opens it beside the config of its model; sentences where it cannot.

    `own` is the folder that the tokenizer came from: its limit, padding side and chat template stay, the limit as far
    as the model has positions.
    """
    target.save(folder)
    path = folder / "tokenizer_config.json"
    settings = _settings(own) | json_object(path)
    limits = [settings.get("model_max_length"), usable_positions(config)]
    known = [limit for limit in limits if limit is not None and limit < _NO_LIMIT]
    settings.pop("model_max_length", None)
    if known:
        settings["model_max_length"] = min(known)
    settings["model_input_names"] = _inputs(config)
    _write(path, settings)
    if own is not None and (own / "chat_template.jinja").is_file():
        shutil.copyfile(own / "chat_template.jinja", folder / "chat_template.jinja")
    if _opens_as_written(folder, target):
        return []
    # Some architectures (qwen2, phi3) are given their own tokenizer's class whatever tokenizer.json holds, unless the
    # folder brings a class along.
    (folder / f"{_MODULE}.py").write_text(_CODE, encoding="utf-8")
    _write(path, {**settings, "auto_map": {"AutoTokenizer": [None, f"{_MODULE}.AsStored"]}})
    if _opens_as_written(folder, target):
        return []
    return [
        f"AutoTokenizer makes another tokenizer of the files of this {config.get('model_type')}: open them with "
        "PreTrainedTokenizerFast"
    ]


def _opens_as_written(folder: Path, target: Tokenizer) -> bool:
    """Whether AutoTokenizer cuts texts as the target does: a sample of its own tokens, in a row."""
    from transformers import AutoTokenizer

    backend: tokenizers.Tokenizer | None = getattr(
        AutoTokenizer.from_pretrained(folder, local_files_only=True), "backend_tokenizer", None
    )
    if backend is None:
        return False
    tokens = target.vocabulary.tokens[:: max(1, len(target.vocabulary) // _SAMPLE)]
    texts = [" ".join(t.surface.decode(errors="ignore") for t in tokens if t.role is None), "".join(_TEXTS), *_TEXTS]
    return all(backend.encode(text).ids == target.backend.encode(text).ids for text in texts)


def _write(path: Path, settings: dict[str, Any]) -> None:
    path.write_text(json.dumps(settings, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _settings(own: Path | None) -> dict[str, Any]:
    path = None if own is None else own / "tokenizer_config.json"
    if path is None or not path.is_file():
        return {}
    return {key: value for key, value in json_object(path).items() if key in _KEPT}


def _inputs(config: Mapping[str, Any]) -> list[str]:
    """What the model is given; segments only where it tells two of them apart (RoBERTa has one, Llama none)."""
    kinds = config.get("type_vocab_size", default_config(config).get("type_vocab_size", 0))
    return ["input_ids", *(["token_type_ids"] if (kinds or 0) > 1 else []), "attention_mask"]
