"""A checkpoint on another vocabulary: a folder that `from_pretrained` opens, all but the words' rows as it was."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from lexigraft.embeddings.checkpoint import whole_checkpoint
from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.embeddings.weights import json_object
from lexigraft.hub import resolve
from lexigraft.surgery.architecture import Shapes, tensor_shapes
from lexigraft.surgery.config import Config, is_seq2seq, new_config, new_generation_config, resized
from lexigraft.surgery.ids import NewIds
from lexigraft.surgery.positions import fitting_tokenizer, moved_limit, shifted_positions
from lexigraft.surgery.rows import plan_rows
from lexigraft.surgery.shards import Stock, take_stock, write_weights
from lexigraft.surgery.tensors import Again, multiplied_out, new_tensors, vocabulary_tensors
from lexigraft.surgery.tokenizer_files import save_tokenizer
from lexigraft.transplant.engine import Transplanted
from lexigraft.vocab.tokenizer import Tokenizer

# Files of the source that are true of the new checkpoint too.
_COMPANIONS = (
    "*.py",
    "*_Pooling/config.json",
    "*preprocessor_config.json",
    "LICENSE*",
    "NOTICE*",
    "USE_POLICY*",
    "config_sentence_transformers.json",
    "modules.json",
    "processor_config.json",
    "sentence_bert_config.json",
)
_LARGEST_COMPANION = 2 * 10**6


@dataclass(frozen=True)
class Body:
    """The model that a matrix belongs to: its folder (weights may be lacking), config and generation settings."""

    folder: Path
    config: Config
    generation: Config | None


@dataclass(frozen=True)
class Written:
    """What was written: rows of the new vocabulary, bytes of all tensors, the tensors that changed, and warnings."""

    rows: int
    bytes: int
    tensors: tuple[str, ...]
    warnings: tuple[str, ...]


def open_body(source: EmbeddingMatrix) -> Body:
    """The model of the source's rows; `ValueError` if they are of none."""
    if source.checkpoint is None:
        raise ValueError(
            f"the source {source.origin.get('name')!r} is a matrix without a model: take source=hf source.name=..., "
            "or write=matrix"
        )
    wanted = ["config.json", "generation_config.json", "tokenizer_config.json", "chat_template.jinja", *_COMPANIONS]
    folder = resolve(source.origin["path"], revision=source.origin.get("revision"), files=wanted)
    generation = folder / "generation_config.json"
    return Body(folder, json_object(folder / "config.json"), json_object(generation) if generation.is_file() else None)


def fitted(body: Body, target: Tokenizer) -> tuple[Tokenizer, list[str]]:
    """The target tokenizer as this model can use it, and sentences on what was changed.

    `ValueError` if the model cannot do without a padding token and there is none.
    """
    if is_seq2seq(body.config) and "pad" not in target.vocabulary.roles:
        raise ValueError(
            f"{body.config['model_type']} needs a padding token, and the target tokenizer has none: add one to it"
        )
    target, note = fitting_tokenizer(body.config, target)
    warnings = [] if note is None else [note]
    if target.segmenter is not None:
        warnings.append(
            f"AutoTokenizer does not know the word segmenter {target.segmenter}: give it texts that are cut into words"
        )
    return target, warnings


def write_checkpoint(
    body: Body,
    source: EmbeddingMatrix,
    transplanted: Transplanted,
    folder: Path,
    *,
    again: Again,
    shard_gb: float = 5,
    pad_to_multiple_of: int = 1,
    tokenizer_folder: Path | None = None,
) -> Written:
    """Write config, weights, tokenizer and small companions of the new checkpoint into `folder`.

    `again` is the same transplant for further matrices of the source's vocabulary (a decoder's own).
    `tokenizer_folder` is where the target tokenizer came from. `ValueError` if the rows do not fit the body, or the
    result would not load.
    """
    made = multiplied_out(transplanted.matrix, transplanted.projection)
    if made.dim != source.dim:
        raise ValueError(
            f"the rows are {made.dim} wide, but the layers of {source.origin.get('name')} demand {source.dim}: "
            "leave out transplant.dim, or take transplant.resize=factorised or write=matrix"
        )
    target = made.tokenizer
    assert target is not None
    ids = NewIds(source.vocabulary, target.vocabulary)
    plan = plan_rows(source.vocabulary, target.vocabulary, transplanted.provenance, pad_to_multiple_of)
    old_size, config = len(source.rows), body.config
    changed, warnings = new_config(config, ids, old_size, plan.size)

    stock = take_stock(whole_checkpoint(source))
    old_shapes = tensor_shapes(config)
    names = vocabulary_tensors(
        stock.shapes, old_size, old_shapes, tensor_shapes(resized(config, old_size, old_size + 1))
    )
    tensors = new_tensors(names, stock, source, made, plan, _in_full_width(again, transplanted.projection))
    moved = shifted_positions(config, _positional(stock), target.vocabulary.roles.get("pad"))
    for name, table in moved.items():
        tensors[name] = table
    if moved:
        change = max(len(t) - stock.shapes[n][0] for n, t in moved.items() if t.is_floating_point())
        changed = moved_limit(changed, change)
    duplicates = _tied_twice(stock, names, source, changed)
    _check(stock, tensors, old_shapes, changed)

    written = write_weights(stock, tensors, duplicates, shard_gb, folder)
    _write_config(folder / "config.json", body.folder / "config.json", config, changed)
    if body.generation is not None:
        generation, lost = new_generation_config(body.generation, ids, is_seq2seq(config))
        warnings += lost
        path = body.folder / "generation_config.json"
        _write_config(folder / path.name, path, body.generation, generation)
    warnings += save_tokenizer(target, folder, changed, tokenizer_folder)
    warnings += _copy_companions(body.folder, folder)
    return Written(plan.size, written, tuple(sorted(tensors)), tuple(warnings))


def _in_full_width(again: Again, projection: torch.Tensor | None) -> Again:
    return lambda matrix: multiplied_out(again(matrix), projection)


def _positional(stock: Stock) -> dict[str, torch.Tensor]:
    return {n: stock.read(n) for n in stock.shapes if "position" in n or n.endswith("token_type_ids")}


def _tied_twice(stock: Stock, names: list[str], source: EmbeddingMatrix, config: Config) -> set[str]:
    """Names in a .bin file that share their numbers with the input matrix, which transformers ties by itself."""
    if not source.tied or config.get("tie_word_embeddings") is False:
        return set()
    together = {name: stock.shared_with.get(name, name) for name in names if len(stock.shapes[name]) == 2}
    kept: dict[str, str] = {}
    for name, first in together.items():
        # Of those that share, the input matrix stays: the shallowest that is no head.
        best = kept.get(first)
        kept[first] = name if best is None or _rank(name) < _rank(best) else best
    return set(together) - set(kept.values())


def _rank(name: str) -> tuple[bool, int, str]:
    return any(part in name for part in ("head", "predictions", "projector", "embed_out")), name.count("."), name


def _check(stock: Stock, new: Mapping[str, torch.Tensor], old_shapes: Shapes | None, config: Config) -> None:
    """Every tensor that had the shape its architecture demands must have that of the new config now."""
    new_shapes = tensor_shapes(config)
    if old_shapes is None or new_shapes is None:
        return
    for name, shape in stock.shapes.items():
        if old_shapes.get(name) == shape and name in new_shapes:
            now = tuple(new[name].shape) if name in new else shape
            if now != new_shapes[name]:
                raise ValueError(
                    f"{config.get('model_type')} could not load the result: tensor {name!r} would have shape {now} "
                    f"instead of {new_shapes[name]}; this architecture is not supported, write=matrix is"
                )


def _write_config(path: Path, old_path: Path, old: Config, new: Config) -> None:
    """As it was, byte for byte, where nothing changes."""
    if new == old:
        shutil.copyfile(old_path, path)
    else:
        path.write_text(json.dumps(new, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _copy_companions(source: Path, folder: Path) -> list[str]:
    """Copy the small files that stay true; a sentence for code that the checkpoint brings along."""
    code = []
    for path in sorted({p for pattern in _COMPANIONS for p in source.glob(pattern)}):
        if path.is_file() and path.stat().st_size <= _LARGEST_COMPANION:
            to = folder / path.relative_to(source)
            to.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, to)
            code += [path.name] if path.suffix == ".py" else []
    if not code:
        return []
    return [f"the checkpoint runs code of its own ({', '.join(code)}), copied unread: check that it fits the new ids"]
