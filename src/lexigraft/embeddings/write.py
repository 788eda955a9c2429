"""A matrix as a folder: rows as safetensors, its tokenizer or its tokens, and where it came from."""

import base64
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from lexigraft.embeddings.matrix import EmbeddingMatrix, padded
from lexigraft.embeddings.origin import origin, survey
from lexigraft.embeddings.weights import json_object
from lexigraft.hub import local_path
from lexigraft.permissions import as_any_new_file
from lexigraft.vocab.tokenizer import Tokenizer
from lexigraft.vocab.vocabulary import Token, Vocabulary

ROWS = "embeddings.safetensors"
TOKENS = "tokens.jsonl"
ORIGIN = "origin.json"


def save_matrix(matrix: EmbeddingMatrix, folder: Path) -> None:
    """Write `embeddings.safetensors`, the tokenizer's files or `tokens.jsonl`, and, last, `origin.json`.

    Each file appears whole or not at all. What builds rows for unseen words (`compose`) and the model's other
    layers (`checkpoint`) are not saved.
    """
    vocabulary, tokenizer = matrix.vocabulary, matrix.tokenizer
    about: dict[str, Any] = {
        "origin": matrix.origin,
        "tied": matrix.tied,
        "tokenizer": tokenizer is not None,
        "vocabulary": vocabulary.fingerprint(),
        "unreachable": sorted(vocabulary.unreachable),
        "further_roles": vocabulary.further_roles,
    }
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=folder) as name:
        partial = Path(name)
        tensors = {"rows": matrix.rows, "output_rows": matrix.output_rows, "output_bias": matrix.output_bias}
        # safetensors refuses tensors that share memory, so every one but the first is a copy.
        copies = {
            k: t.contiguous() if k == "rows" else t.clone(memory_format=torch.contiguous_format)
            for k, t in tensors.items()
            if t is not None
        }
        save_file(copies, partial / ROWS)
        as_any_new_file(partial / ROWS)
        if tokenizer is not None:
            assert padded(tokenizer.vocabulary, len(vocabulary)).tokens == vocabulary.tokens
            tokenizer.save(partial)
        else:
            (partial / TOKENS).write_text("".join(f"{_line(t)}\n" for t in vocabulary), encoding="ascii")
        text = json.dumps(about, indent=2, ensure_ascii=False) + "\n"
        (partial / ORIGIN).write_text(text, encoding="utf-8")
        for written in sorted(partial.iterdir(), key=lambda p: p.name == ORIGIN):
            os.replace(written, folder / written.name)


def load_matrix(folder: Path) -> EmbeddingMatrix:
    """The matrix that `save_matrix` wrote, its rows mapped from the file.

    `FileNotFoundError` where the folder is none of these, `ValueError` where it is damaged.
    """
    if not (folder / ORIGIN).is_file():
        raise FileNotFoundError(f"{folder} holds no {ORIGIN}: a folder that `lexigraft transplant` wrote is expected")
    about = json_object(folder / ORIGIN)
    try:
        with safe_open(folder / ROWS, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, FileNotFoundError) as error:
        raise ValueError(f"{folder / ROWS} is missing, cut off or no safetensors file ({error})") from error
    tokenizer = None
    if not about["tokenizer"]:
        tokens = tuple(_token(line) for line in (folder / TOKENS).read_text(encoding="ascii").splitlines())
        further = tuple((role, i) for role, i in about["further_roles"])
        vocabulary = Vocabulary(tokens, further_roles=further, unreachable=frozenset(about["unreachable"]))
    else:
        tokenizer = Tokenizer.load(folder)
        vocabulary = tokenizer.vocabulary
        if len(vocabulary) < len(tensors["rows"]):
            vocabulary = padded(vocabulary, len(tensors["rows"]))
    if vocabulary.fingerprint() != about["vocabulary"]:
        raise ValueError(f"the tokens in {folder} are not those that its rows were saved with: write it again")
    return EmbeddingMatrix(
        vocabulary=vocabulary,
        rows=tensors["rows"],
        origin=about["origin"],
        output_rows=tensors.get("output_rows"),
        output_bias=tensors.get("output_bias"),
        tied=about["tied"],
        tokenizer=tokenizer,
    )


def read_matrix(path: str | Path) -> EmbeddingMatrix:
    """A folder that `save_matrix` (or `lexigraft transplant`) wrote, as a source; its own origin is kept under `of`."""
    matrix = load_matrix(local_path(path))
    found = survey(matrix.rows)
    if found.not_finite:
        raise ValueError(f"{path} has NaN or infinity in {found.not_finite} of {len(matrix.rows)} rows")
    about = origin("matrix", Path(path).name, path, matrix.rows, found, {}, of=matrix.origin)
    return replace(matrix, origin=about)


def _line(token: Token) -> str:
    """One token as JSON: its text, or base64 where its bytes are no text."""
    try:
        surface = {"text": token.surface.decode()}
    except UnicodeDecodeError:
        surface = {"base64": base64.b64encode(token.surface).decode()}
    more = {"starts_word": token.starts_word, "role": token.role, "byte_fallback": token.byte_fallback}
    return json.dumps({**surface, **more})


def _token(line: str) -> Token:
    entry = json.loads(line)
    surface = entry["text"].encode() if "text" in entry else base64.b64decode(entry["base64"])
    return Token(surface, entry["starts_word"], entry["role"], entry["byte_fallback"])
