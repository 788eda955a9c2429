"""Static vectors out of a whole model: what it makes of every token alone."""

from typing import Literal

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from lexigraft.embeddings.axes import fixed_signs
from lexigraft.embeddings.body import around, frozen_body
from lexigraft.embeddings.checkpoint import read_checkpoint
from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.embeddings.origin import origin, survey


def read_distilled(
    name: str,
    revision: str | None = None,
    dim: int | None = 256,
    weighting: Literal["sif", "none"] = "sif",
    a: float = 1e-4,
    batch_size: int = 256,
) -> EmbeddingMatrix:
    """One row per token of a checkpoint: its last hidden state in a text of this token alone (as model2vec distils).

    The text holds the special tokens that the tokenizer puts around every text; the hidden state is the token's own.
    Rows are then centred and turned into their `dim` principal components (None: left as they are), and `sif` weighs
    each by a / (a + p) (smooth inverse frequency, Arora et al. 2017), p being what Zipf's law gives the token's rank,
    p ~ 1 / rank. Ids stand for ranks: tokenizers that are trained give frequent tokens low ids. Components and ranks
    are those of ordinary tokens; special ones are projected likewise and weigh 1.

    Float32, and a table of vectors: what is made of it has no layers. `ValueError` where `dim` exceeds the model's
    width or the number of its tokens, or hidden states are not finite; for the rest see `read_checkpoint`.
    """
    model = read_checkpoint(name, revision)
    assert model.tokenizer is not None
    vocabulary = model.tokenizer.vocabulary
    ordinary = vocabulary.ordinary
    rows = _hidden_states(model, len(vocabulary), batch_size)
    if not rows.isfinite().all():
        raise ValueError(f"{name} gives hidden states with NaN or infinity: the checkpoint is damaged")
    if dim is not None:
        most = min(rows.shape[1], int(ordinary.sum()))
        if not 1 <= dim <= most:
            raise ValueError(f"source.dim={dim} was given, but the hidden states of {name} have {most} components")
        rows = _principal_components(rows, torch.tensor(ordinary), dim)
    if weighting == "sif":
        rows *= torch.from_numpy(_inverse_frequencies(ordinary, a))[:, None]
    about = origin(
        "distilled",
        f"{model.origin['name']} (distilled)",
        model.origin["path"],
        rows,
        survey(rows),
        {},
        revision=model.origin["revision"],
        architecture=model.origin["architecture"],
        weighting=weighting,
        a=a,
        components=dim,
        of=model.origin["sha256"],
    )
    return EmbeddingMatrix(vocabulary=vocabulary, rows=rows, origin=about, tokenizer=model.tokenizer)


def _hidden_states(model: EmbeddingMatrix, count: int, batch_size: int) -> torch.Tensor:
    """The last hidden state `[V, width]` of every token alone, at its own place."""
    assert model.tokenizer is not None
    before, after = (torch.tensor(ids, dtype=torch.long) for ids in around(model.tokenizer))
    body = frozen_body(model)
    console = Console(stderr=True)
    rows = []
    batches = torch.arange(count).split(batch_size)
    for tokens in track(batches, "distillation", console=console, transient=True, disable=not console.is_terminal):
        size = len(tokens)
        ids = torch.cat([before.expand(size, -1), tokens[:, None], after.expand(size, -1)], 1)
        with torch.no_grad():
            # A mask of its own: the padding token's text is a text too.
            states = body(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        rows.append(states[:, len(before)])
    return torch.cat(rows)


def _principal_components(rows: torch.Tensor, fitted: torch.Tensor, dim: int) -> torch.Tensor:
    """All rows in the `dim` directions in which the `fitted` ones vary most; signs are fixed."""
    centred = rows.double()
    centred -= centred[fitted].mean(0)
    _, axes = torch.linalg.eigh(centred[fitted].T @ centred[fitted])
    return (centred @ fixed_signs(axes.flip(1)[:, :dim])).float()


def _inverse_frequencies(ordinary: np.ndarray, a: float) -> np.ndarray:
    """Float32 `[V]`: a / (a + p) of ordinary tokens, by Zipf's law in the order of their ids; 1 for the others."""
    rank = np.cumsum(ordinary)
    chance = np.where(ordinary, 1.0 / np.maximum(rank, 1), 0.0)
    return (a / (a + chance / chance.sum())).astype(np.float32)
