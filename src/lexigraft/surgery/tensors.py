"""Which tensors of a checkpoint have a row per token, and what becomes of each."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.surgery.architecture import Shapes
from lexigraft.surgery.rows import RowPlan

# What the architectures call them, for models that transformers cannot build here.
_MATRICES = re.compile(
    r"(.*\.)?(shared|word_embeddings?|embed_tokens|wte|embed_in|tok_embeddings|lm_head|lm_head\.decoder|lm_loss"
    r"|predictions\.decoder|generator_lm_head|vocab_projector|embed_out|decoder|proj_out|output_projection"
    r"|pred_layer\.proj)\.weight"
)
_BIASES = re.compile(
    r"(.*\.)?((lm_head|lm_head\.decoder|lm_loss|predictions|predictions\.decoder|generator_lm_head|vocab_projector"
    r"|embed_out|decoder|pred_layer\.proj)\.bias|final_logits_bias)"
)
_INPUT = re.compile(r"shared|embed(?!_out)|wte")

# The transplant that was made, applied to another matrix of the same vocabulary.
Again = Callable[[EmbeddingMatrix], EmbeddingMatrix]


class Stored(Protocol):
    """The tensors of a checkpoint."""

    def read(self, tensor: str) -> torch.Tensor: ...


def vocabulary_tensors(shapes: Shapes, rows: int, now: Shapes | None, grown: Shapes | None) -> list[str]:
    """The names of all tensors with a row (or a number) per token, of a checkpoint with these `shapes`.

    `now` and `grown` are the shapes that the architecture has with `rows` tokens and with one more: what differs is
    meant. Names that it does not know, or all where they are None, are judged by what architectures usually call them.
    """
    found = []
    for name, shape in shapes.items():
        if now is not None and grown is not None and now.get(name) == shape:
            is_one = grown[name] != shape
        else:
            matrix = len(shape) == 2 and shape[0] == rows and _MATRICES.fullmatch(name)
            is_one = bool(matrix or (shape in ((rows,), (1, rows)) and _BIASES.fullmatch(name)))
        if is_one:
            found.append(name)
    return found


def new_tensors(
    names: list[str], stored: Stored, source: EmbeddingMatrix, made: EmbeddingMatrix, plan: RowPlan, again: Again
) -> dict[str, torch.Tensor]:
    """The new tensor of each name, in the dtype of the old one.

    What equals the source's input rows, output rows or output bias becomes the transplanted ones, under however many
    names it is stored; any other (a decoder's own matrix) is transplanted by itself.
    """
    known = [
        (source.rows, lambda: plan.rows(source.rows, made.rows)),
        (source.output_rows, lambda: plan.rows(_given(source.output_rows), _given(made.output_rows))),
        (source.output_bias, lambda: plan.bias(_given(source.output_bias), _given(made.output_bias))),
    ]
    done: list[tuple[torch.Tensor, torch.Tensor]] = []
    found: dict[str, torch.Tensor] = {}
    for name in names:
        old = stored.read(name)
        flat = old.reshape(-1) if 1 in (old.ndim, old.shape[0]) else old
        new = next((new for seen, new in done if _equal(seen, flat)), None)
        if new is None:
            make = next((make for seen, make in known if seen is not None and _equal(seen, flat)), None)
            new = _by_itself(name, flat, source, plan, again) if make is None else make()
            done.append((flat, new))
        found[name] = new.to(old.dtype).reshape(1, -1) if old.ndim == 2 and flat.ndim == 1 else new.to(old.dtype)
    return found


def multiplied_out(made: EmbeddingMatrix, projection: torch.Tensor | None) -> EmbeddingMatrix:
    """Rows `[T, d]` times a projection `[d, D]`: a factorised matrix in the width that the model's body has."""
    if projection is None:
        return made
    return replace(made, rows=(made.rows.float() @ projection.float()).to(made.rows.dtype))


def _by_itself(name: str, old: torch.Tensor, source: EmbeddingMatrix, plan: RowPlan, again: Again) -> torch.Tensor:
    if not old.is_floating_point():
        raise ValueError(
            f"tensor {name!r} has {len(old)} rows of type {old.dtype}, which is quantised: save the model in floating "
            "point first"
        )
    if not old.any():  # OPT's final_logits_bias, and the like
        return old.new_zeros(plan.size, *old.shape[1:])
    if old.ndim == 1:
        return plan.bias(old, _given(again(replace(source, output_bias=old)).output_bias))
    if _INPUT.search(name):
        return plan.rows(old, again(replace(source, rows=old, output_rows=None, output_bias=None)).rows)
    return plan.rows(old, _given(again(replace(source, output_rows=old, output_bias=None)).output_rows))


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b)


def _given(tensor: torch.Tensor | None) -> torch.Tensor:
    assert tensor is not None
    return tensor
