"""The word embeddings of a model on disk, on the hub or on a web server, of which only the matrix itself is read."""

from pathlib import Path
from typing import Any

import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix, padded
from lexigraft.embeddings.origin import origin, survey, unsound
from lexigraft.embeddings.weights import Weights, json_object, open_weights
from lexigraft.hub import resolve
from lexigraft.vocab.tokenizer import Tokenizer
from lexigraft.vocab.vocabulary import UNUSED

# What a checkpoint holds besides weights; a hub repository has some of these.
_SMALL_FILES = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "*.model",
    "*.index.json",
)
# How the families call the matrix; the first that a checkpoint has counts.
_INPUT_NAMES = (
    "shared.weight",  # T5, BART
    "word_embeddings.weight",  # BERT, RoBERTa, XLM-R, DistilBERT, ELECTRA, ALBERT, DeBERTa, BLOOM, Falcon
    "embed_tokens.weight",  # Llama, Qwen, Mistral, Gemma, OPT
    "wte.weight",  # GPT-2
    "embed_in.weight",  # GPT-NeoX
    "tok_embeddings.weight",  # ModernBERT
    "word_embedding.weight",  # XLNet
)
_OUTPUT_NAMES = (
    "lm_head.weight",  # Llama, GPT-2, T5, OPT
    "lm_head.decoder.weight",  # RoBERTa, XLM-R
    "predictions.decoder.weight",  # BERT, ALBERT
    "generator_lm_head.weight",  # ELECTRA
    "vocab_projector.weight",  # DistilBERT
    "embed_out.weight",  # GPT-NeoX
    "decoder.weight",  # ModernBERT
)
_BIAS_NAMES = (
    "lm_head.bias",
    "lm_head.decoder.bias",
    "predictions.bias",
    "predictions.decoder.bias",
    "generator_lm_head.bias",
    "vocab_projector.bias",
    "embed_out.bias",
    "decoder.bias",
    "final_logits_bias",
)


def read_checkpoint(name: str, revision: str | None = None, tensor: str | None = None) -> EmbeddingMatrix:
    """The input embeddings of a model, with the output head's rows and bias where it has them.

    `name` is a local folder, a hub name, or the address of a folder on a web server (`https://host/path`). Only the
    tensors returned are read, and only their bytes downloaded (`origin["fetched"]` says how many, of how many; None
    where all was local, or in pickles, which come whole); their dtype stays.
    `tensor` names the matrix where the architecture is not recognised. Rows beyond the tokenizer's last token
    (padding to a round number) become `unused` tokens.
    Raises `FileNotFoundError` (no such model or file) and `ValueError` (damaged, or no matrix is recognised).
    """
    folder = resolve(name, revision=revision, files=_SMALL_FILES)
    if not folder.is_dir():
        raise ValueError(f"{name} is a file: the folder of a checkpoint is expected, with config.json and tokenizer")
    if folder.parent.name == "snapshots":  # of the hub: what is fetched from here on is of the same commit
        revision = folder.name
    config = _config(folder)
    weights = open_weights(name, revision, folder)
    input_name = _input_tensor(weights, tensor)
    rows = weights.read(input_name)
    if rows.ndim != 2 or not rows.is_floating_point():
        raise ValueError(
            f"tensor {input_name!r} of {name} has shape {tuple(rows.shape)} and type {rows.dtype}: a matrix of "
            f"floating-point rows is expected; {_advice(weights)}"
        )
    found = survey(rows)
    _refuse_damaged(weights, input_name, found.not_finite, len(rows))
    output_rows, output_bias, tied = _output(weights, input_name, rows, config)
    tokenizer = Tokenizer.load(folder)
    if len(tokenizer.vocabulary) > len(rows):
        raise ValueError(
            f"the tokenizer of {name} has {len(tokenizer.vocabulary)} tokens, but its matrix only {len(rows)} rows: "
            f"they do not belong together"
        )
    vocabulary = padded(tokenizer.vocabulary, len(rows))
    return EmbeddingMatrix(
        vocabulary=vocabulary,
        rows=rows,
        origin=origin(
            "checkpoint",
            name,
            name,
            rows,
            found,
            {"unused": sum(t.role == UNUSED for t in vocabulary)},
            revision=revision,
            architecture=config.get("model_type"),
            tensor=input_name,
            fetched=weights.fetched,
        ),
        output_rows=output_rows,
        output_bias=output_bias,
        tied=tied,
        tokenizer=tokenizer,
        checkpoint=weights.folder,
    )


def whole_checkpoint(matrix: EmbeddingMatrix) -> Path:
    """The local folder with all weights of the model that the rows are of; what is lacking is downloaded, whole.

    `ValueError` where the matrix is of no model.
    """
    if matrix.checkpoint is None:
        raise ValueError(f"the source {matrix.origin.get('name')!r} is a matrix without a model: take source=hf")
    weights = open_weights(matrix.origin["path"], matrix.origin["revision"], matrix.checkpoint)
    return weights.fetch(sorted(set(weights.files.values())))


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        inside = ", ".join(sorted(p.name for p in folder.iterdir())[:8]) or "nothing"
        raise FileNotFoundError(f"{folder} holds no config.json, so it is no checkpoint (it holds {inside})")
    config = json_object(path)
    # Models of text and pictures keep what concerns the text apart.
    return config | (config.get("text_config") or {})


def _input_tensor(weights: Weights, tensor: str | None) -> str:
    """The name of the input embeddings' tensor; `ValueError` with candidates where none is recognised."""
    if tensor is not None:
        if tensor not in weights.names:
            raise ValueError(f"{weights.name} has no tensor {tensor!r}; {_advice(weights)}")
        return tensor
    for known in _INPUT_NAMES:
        matching = _named(weights, known)
        if not matching:
            continue
        # The outermost; of an encoder and a decoder with matrices of their own, the encoder's.
        depth = min(n.count(".") for n in matching)
        matching = [n for n in matching if n.count(".") == depth]
        matching = [n for n in matching if "encoder." in n] or matching
        if len(matching) == 1:
            return matching[0]
        raise ValueError(
            f"{weights.name} has {len(matching)} embedding matrices: set source.tensor= to one of {', '.join(matching)}"
        )
    raise ValueError(f"no word embeddings are recognised in {weights.name}; {_advice(weights)}")


def _named(weights: Weights, known: str) -> list[str]:
    return sorted(n for n in weights.names if n == known or n.endswith(f".{known}"))


def _advice(weights: Weights) -> str:
    """Half a sentence that names the matrices with the most rows."""
    shapes = {n: shape for n, shape in weights.shapes().items() if len(shape) == 2}
    largest = sorted(shapes, key=lambda n: (-shapes[n][0], n))[:8]
    listed = [f"{n} {shapes[n]}" for n in largest] or sorted(n for n in weights.names if "emb" in n)[:8]
    return f"set source.tensor= to the name of the matrix (candidates: {', '.join(listed) or 'none'})"


def _output(
    weights: Weights, input_name: str, rows: torch.Tensor, config: dict[str, Any]
) -> tuple[torch.Tensor | None, torch.Tensor | None, bool]:
    """Output rows `[V, D]` where they differ from the input's, output bias `[V]`, whether the head shares rows."""
    for known in _OUTPUT_NAMES:
        for name in _named(weights, known):
            if name == input_name or weights.shape(name) != tuple(rows.shape):
                continue
            head = weights.read(name)
            # A head that is stored is the model's own, whatever the config says, unless its values are equal.
            tied = torch.equal(head, rows)
            if not tied:
                _refuse_damaged(weights, name, unsound(head)[0], len(head))
            return None if tied else head, _bias(weights, len(rows)), tied
    return None, _bias(weights, len(rows)), bool(config.get("tie_word_embeddings", True))


def _refuse_damaged(weights: Weights, tensor: str, not_finite: int, count: int) -> None:
    if not_finite:
        raise ValueError(
            f"tensor {tensor!r} of {weights.name} has NaN or infinity in {not_finite} of {count} rows: the "
            f"checkpoint is damaged"
        )


def _bias(weights: Weights, size: int) -> torch.Tensor | None:
    for known in _BIAS_NAMES:
        for name in _named(weights, known):
            if weights.shape(name) in ((size,), (1, size)):
                return weights.read(name).reshape(size)
    return None
