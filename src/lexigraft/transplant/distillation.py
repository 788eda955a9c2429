"""Rows that are learned from how the source model reads a new token's old pieces."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from lexigraft.embeddings.body import around, frozen_body, reads_left_to_right
from lexigraft.transplant.filling import Combination, Filled, Gap, new_rows
from lexigraft.transplant.snippets import Snippet, found_snippets, written_snippets
from lexigraft.transplant.subtokens import Weights, subtokens

_MEASURED = 4  # snippets of a token on which its loss is taken before and after


def distilled(
    gap: Gap,
    start: Weights = "mean",
    layer: int = -1,
    lr: float = 1e-4,
    snippets: int = 100,
    snippet_tokens: int = 50,
    epochs: int = 1,
    batch_size: int = 16,
    write: bool = True,
    device: str | None = None,
) -> Filled:
    """Token Distillation (Dobler et al. 2025): the row with which the frozen source reads on as if nothing had changed.

    For a token with old pieces p_1..p_n in a snippet, w minimises, by Adam,
        mean_t || h_layer(.. w ..)_t - h_layer(.. p_1 .. p_n ..)_t' ||^2 / D,
    t' being the position of t among the old pieces and that of w the last piece's: over all t in an encoder, from w on
    in a decoder, special tokens left out. `layer` counts hidden states as transformers does, -1 being the last, behind
    its norm. Every token is learned for itself, with a step for each of its snippets (up to `snippets`) in each of
    `epochs`, and the same whatever is learned beside it (`batch_size` tokens at once). Only new rows move.

    Rows begin as the sums of `subtokens` with weights `start`; tokens that the source cannot spell are declined. One
    without a snippet, or whose loss did not fall, keeps that beginning. Snippets come from the target's texts; a
    decoder writes them itself where there are none (`write`). Output rows are those sums too: distillation says nothing
    about them. `device` None: a GPU if there is one; in float32 everywhere, but a GPU gives equal rows only up to
    rounding.

    `ValueError` if the source is no checkpoint, its rows were resized, `layer` is out of range, or there are neither
    texts nor a decoder that writes; for counts below 1 and a device that is not there.
    """
    _refuse_tables(gap)
    for name, number in {
        "snippets": snippets, "snippet_tokens": snippet_tokens, "epochs": epochs, "batch_size": batch_size
    }.items():  # fmt: skip
        if number < 1:
            raise ValueError(f"{name}={number} of token distillation is not possible: expected 1 or more")
    begin = time.perf_counter()
    first = subtokens(gap, start)
    if not first.done.any():
        return first
    rows = new_rows(first.rows, gap.source.rows).float()
    served = [int(i) for i in np.flatnonzero(first.done)]
    lesson = _Lesson(frozen_body(gap.source).to(_device(device)), gap, layer)
    length = lesson.longest(snippet_tokens)
    texts = gap.texts if lesson.causal and write else gap.need_texts("token distillation")
    assert gap.source.tokenizer is not None
    ids = gap.ids[served]
    found = found_snippets(gap.source.tokenizer, gap.target, ids, texts, snippets, length, gap.generator)
    written = 0
    if lesson.causal and write:
        written = _write_the_missing(found, gap, served, lesson, snippets, length)
    learned, before, after = _learn(lesson, rows, found, lr, epochs, batch_size)
    better = after < before
    rows[better] = learned[better]
    having = np.array([len(f) > 0 for f in found])
    # A token without snippets was not measured.
    notes = {
        "tokens": len(served),
        "tokens_with_snippets": int(having.sum()),
        "tokens_with_written_snippets": written,
        "rows_learned": int(better.sum()),
        "steps": epochs * sum(map(len, found)),
        "loss_before": _mean(before[better]),
        "loss_after": _mean(after[better]),
        "seconds": round(time.perf_counter() - begin, 1),
    }
    return replace(
        first,
        tier="distilled",
        rows=lambda like: rows.to(like.dtype),
        output=first.rows if first.output is None else first.output,
        made_of=first.rows if isinstance(first.rows, Combination) else first.made_of,
        notes=notes,
    )


def _refuse_tables(gap: Gap) -> None:
    if gap.source.checkpoint is None or gap.source.tokenizer is None:
        raise ValueError(
            f"token distillation learns from the layers of a checkpoint, but the source {gap.source.origin['name']!r} "
            "is a table of vectors: use source=hf source.name=..., or another transplant option"
        )


def _device(name: str | None) -> torch.device:
    if name is None:
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device={name} of token distillation cannot be used ({reason}): leave it out") from error
    return torch.device(name)


def _mean(losses: Tensor) -> float | None:
    return float(losses.mean()) if len(losses) else None


def _write_the_missing(
    found: list[list[Snippet]], gap: Gap, served: Sequence[int], lesson: "_Lesson", count: int, length: int
) -> int:
    """Let the decoder write for tokens without a snippet; how many tokens these were."""
    segment = gap.source.vocabulary.segment
    assert segment is not None
    head = (gap.source.rows if gap.source.output_rows is None else gap.source.output_rows).float()
    assert gap.source.tokenizer is not None
    head = head[: len(gap.source.tokenizer.vocabulary)].to(lesson.device)  # rows of no token are no text
    missing = [k for k, snippets in enumerate(found) if not snippets]
    for k in _shown(missing, "snippets"):
        pieces = segment(gap.tokens[served[k]])
        if 0 < len(pieces) < length:
            found[k] = written_snippets(lesson.body, head, lesson.before, pieces, count, length, gap.generator)
    return sum(len(found[k]) > 0 for k in missing)


def _learn(
    lesson: "_Lesson", rows: Tensor, found: list[list[Snippet]], lr: float, epochs: int, batch_size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """New rows [N, D] and the losses [N] before and after; 0 for tokens without snippets, whose rows stay."""
    learned = rows.clone()
    before, after = torch.zeros(len(rows)), torch.zeros(len(rows))
    for block in _shown(_blocks(found, batch_size), "distillation"):
        new = nn.Parameter(rows[block].to(lesson.device, copy=True))
        before[block] = lesson.measured(new, [found[k] for k in block])
        optimizer = torch.optim.Adam([new], lr=lr)
        for _ in range(epochs):
            for together in zip(*(found[k] for k in block)):
                optimizer.zero_grad()
                lesson.losses(new, list(enumerate(together))).sum().backward()
                optimizer.step()
        after[block] = lesson.measured(new, [found[k] for k in block])
        learned[block] = new.detach().cpu()
    return learned, before, after


def _blocks(found: list[list[Snippet]], size: int) -> list[list[int]]:
    """Tokens with equally many snippets, at most `size` at once: each has its own steps, and waits for no other."""
    blocks = []
    order = sorted((k for k, snippets in enumerate(found) if snippets), key=lambda k: len(found[k]))
    for _, equal in groupby(order, key=lambda k: len(found[k])):
        tokens = list(equal)
        blocks += [tokens[i : i + size] for i in range(0, len(tokens), size)]
    return blocks


class _Lesson:
    """The frozen model, as teacher of old pieces and as pupil with new rows."""

    def __init__(self, body: Any, gap: Gap, layer: int) -> None:
        self.body, self.layer, self.device = body, layer, next(body.parameters()).device
        self.causal = reads_left_to_right(body)
        assert gap.source.tokenizer is not None
        self.before, self.after = around(gap.source.tokenizer)
        words = body.get_input_embeddings()
        if words.embedding_dim != gap.source.dim:
            raise ValueError(
                f"token distillation learns rows as wide as the model's ({words.embedding_dim}), but transplant.dim "
                f"asks for {gap.source.dim}: set transplant.dim=null"
            )
        depth = body.config.num_hidden_layers
        if not -depth <= layer <= depth or layer == 0:
            raise ValueError(f"layer={layer} is not one of the model's {depth} layers: give -{depth}..-1 or 1..{depth}")
        self.rows = _WithNewRows(words)
        body.set_input_embeddings(self.rows)
        pad = getattr(body.config, "pad_token_id", None)
        self.pad = 0 if pad is None else int(pad)

    def longest(self, length: int) -> int:
        """`length`, or what the model has positions for."""
        limit = getattr(self.body.config, "max_position_embeddings", None)
        if limit is None:
            return length
        # RoBERTa's positions begin behind the padding id.
        tables = (m for name, m in self.body.named_modules() if name.endswith("position_embeddings"))
        unused = max((m.padding_idx + 1 for m in tables if getattr(m, "padding_idx", None) is not None), default=0)
        return min(length, limit - unused - len(self.before) - len(self.after))

    def measured(self, new: Tensor, found: Sequence[Sequence[Snippet]]) -> Tensor:
        """The mean loss [B] of each token on its first snippets."""
        total, count = torch.zeros(len(found)), torch.zeros(len(found))
        with torch.no_grad():
            for step in range(_MEASURED):
                batch = [(i, snippets[step]) for i, snippets in enumerate(found) if step < len(snippets)]
                if batch:
                    at = torch.tensor([i for i, _ in batch])
                    total[at] += self.losses(new, batch).cpu()
                    count[at] += 1
        return total / count

    def losses(self, new: Tensor, batch: Sequence[tuple[int, Snippet]]) -> Tensor:
        """The loss [B] of each (row of `new`, snippet)."""
        old = [[*self.before, *s.ids.tolist(), *self.after] for _, s in batch]
        begins = [len(self.before) + s.start for _, s in batch]
        gaps = [s.stop - s.start - 1 for _, s in batch]
        size = self.rows.size
        short = [[*t[:b], size + i, *t[b + g + 1 :]] for t, (i, _), b, g in zip(old, batch, begins, gaps)]
        with torch.no_grad():
            taught = self._hidden(old, None)
        shown = self._hidden(short, new)
        begin, gone, end = (
            torch.tensor(places, device=self.device)[:, None]
            for places in (begins, gaps, [len(ids) - len(self.after) for ids in short])
        )
        place = torch.arange(shown.shape[1], device=self.device)
        at = place + gone * (place >= begin)  # [B, T]: where the old pieces have this position
        taught = taught.gather(1, at.clamp(max=taught.shape[1] - 1)[:, :, None].expand(-1, -1, taught.shape[2]))
        counted = (place < end) & (place >= (begin if self.causal else len(self.before)))
        apart = (shown - taught).square().mean(-1) * counted
        return apart.sum(1) / counted.sum(1)

    def _hidden(self, texts: Sequence[list[int]], new: Tensor | None) -> Tensor:
        longest = max(map(len, texts))
        ids = torch.tensor([t + [self.pad] * (longest - len(t)) for t in texts], device=self.device)
        mask = torch.tensor([[1] * len(t) + [0] * (longest - len(t)) for t in texts], device=self.device)
        self.rows.new = new
        options: dict[str, Any] = {"use_cache": False} if self.causal else {}
        if self.layer == -1:
            return self.body(input_ids=ids, attention_mask=mask, **options).last_hidden_state
        return self.body(input_ids=ids, attention_mask=mask, output_hidden_states=True, **options).hidden_states[
            self.layer
        ]


class _WithNewRows(nn.Module):
    """The source's word embeddings of V words, and new rows under the ids from V on."""

    def __init__(self, words: Any) -> None:
        super().__init__()
        self.words = words
        self.size: int = words.num_embeddings
        self.new: Tensor | None = None
        # BART and Gemma multiply inside the embedding layer.
        self.scale = float(getattr(words, "scalar_embed_scale", getattr(words, "embed_scale", 1.0)))

    def forward(self, ids: Tensor) -> Tensor:
        vectors: Tensor = self.words(ids.clamp(max=self.size - 1))
        if self.new is None:
            return vectors
        rows = self.new[(ids - self.size).clamp(min=0)] * self.scale
        return torch.where((ids >= self.size)[:, :, None], rows, vectors)


def _shown(work: Sequence[Any], name: str) -> Iterator[Any]:
    """The items, with a bar on a terminal's stderr: this alone of all methods takes minutes."""
    console = Console(stderr=True)
    yield from track(work, name, console=console, transient=True, disable=not (work and console.is_terminal))
