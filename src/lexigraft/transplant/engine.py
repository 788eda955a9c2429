"""Moving a matrix onto another vocabulary: copy shared rows, fill in the rest, record each row's origin."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.transplant.filling import Combination, FillingMethod
from lexigraft.transplant.provenance import Provenance, ProvenanceBuilder
from lexigraft.transplant.resize import pca
from lexigraft.vocab.alignment import TIERS, align
from lexigraft.vocab.tokenizer import Tokenizer


@dataclass(frozen=True)
class Transplanted:
    """A matrix on the target vocabulary and the provenance of each row.

    `project_to` asks the model for a learned projection of the rows to that width; None: use them as they are.
    """

    matrix: EmbeddingMatrix
    provenance: Provenance
    project_to: int | None = None


@dataclass(frozen=True)
class Transplant:
    """Copy the rows of shared tokens, fill the others step by step, zero the padding row.

    `fill` is tried in order: each step serves what it can of the tokens that are left. `match=False` copies nothing
    (the random control). `scale` multiplies every input row. `dim` is the width that the model shall see.
    """

    fill: Sequence[FillingMethod]
    match: bool = True
    normalised: bool = True
    scale: float = 1.0
    dim: int | None = None
    resize: Literal["pca", "linear"] = "pca"

    def __call__(self, source: EmbeddingMatrix, target: Tokenizer, seed: int) -> Transplanted:
        """The source's rows on the target's vocabulary; random rows depend on `seed` alone.

        `ValueError` if a token is left without a row, a row is not finite, or `dim` cannot be reached.
        """
        project_to = None
        if self.dim is not None and self.dim != source.dim:
            if self.resize == "linear":
                project_to = self.dim
            else:
                source = pca(source, self.dim)
        graft = _Graft(source, target, torch.Generator().manual_seed(seed))
        if self.match:
            graft.copy_matches(self.normalised)
        for method in self.fill:
            graft.fill(method)
        return Transplanted(graft.finish(self.scale), graft.provenance(), project_to)


@dataclass(frozen=True)
class Copy:
    """Every row as it is, bit for bit; for a target vocabulary that equals the source's."""

    def __call__(self, source: EmbeddingMatrix, target: Tokenizer, seed: int) -> Transplanted:
        """The source's matrix; `ValueError` if the vocabularies differ."""
        count = len(target.vocabulary)
        if target.vocabulary.tokens != source.vocabulary.tokens[:count]:
            raise ValueError(
                f"transplant=copy needs identical vocabularies, but the source has {len(source.vocabulary)} tokens and "
                f"the target {count} other ones: use tokenizer=source, or another transplant option"
            )
        same = np.arange(count)
        builder = ProvenanceBuilder(count)
        builder.combine("exact", same, Combination.mean_of(same[:, None].tolist()))
        return Transplanted(
            _on_target(
                source,
                target,
                source.rows[:count],
                None if source.output_rows is None else source.output_rows[:count],
                None if source.output_bias is None else source.output_bias[:count],
            ),
            builder.build(),
        )


class _Graft:
    """A transplant under way: the new matrices, and which target ids still lack a row."""

    def __init__(self, source: EmbeddingMatrix, target: Tokenizer, generator: torch.Generator) -> None:
        self.source, self.target, self.generator = source, target, generator
        self.tokens = target.vocabulary.tokens
        count = len(self.tokens)
        self.rows = source.rows.new_zeros(count, source.dim)
        self.output = None if source.output_rows is None else source.output_rows.new_zeros(count, source.dim)
        self.bias = None if source.output_bias is None else source.output_bias.new_zeros(count)
        self.left = np.ones(count, dtype=bool)
        self.record = ProvenanceBuilder(count)
        self._leave_padding_zero()

    def _leave_padding_zero(self) -> None:
        pad = self.target.vocabulary.roles.get("pad")
        if pad is not None:
            self.left[pad] = False
            self.record.name("padding", np.array([pad]))

    def copy_matches(self, normalised: bool) -> None:
        alignment = align(self.source.vocabulary, self.target.vocabulary, normalised=normalised)
        for tier in range(1, len(TIERS)):
            ids = np.flatnonzero(self.left & (alignment.tier == tier))
            found = torch.from_numpy(alignment.source_id[ids])
            combination = Combination.mean_of(found[:, None].tolist())
            # Indexed, not summed: a copied row is the source's bit for bit.
            self._write(ids, TIERS[tier], partial(torch.index_select, dim=0, index=found), combination)

    def fill(self, method: FillingMethod) -> None:
        ids = np.flatnonzero(self.left)
        if len(ids):
            filled = method(self.source, [self.tokens[i] for i in ids], self.generator)
            self._write(ids[filled.done], filled.tier, filled.make, filled.combination)

    def _write(
        self,
        ids: np.ndarray,
        tier: str,
        make: Callable[[torch.Tensor], torch.Tensor],
        combination: Combination | None,
    ) -> None:
        if not len(ids):
            return
        self.rows[ids] = make(self.source.rows)
        if self.output is not None and self.source.output_rows is not None:
            self.output[ids] = make(self.source.output_rows)
        if self.bias is not None and self.source.output_bias is not None:
            bias = self.source.output_bias
            # A random or zero row says nothing about how frequent the token is: it gets the mean bias.
            self.bias[ids] = bias.mean() if combination is None else combination.apply(bias[:, None])[:, 0]
        self.left[ids] = False
        if combination is None:
            self.record.name(tier, ids)
        else:
            self.record.combine(tier, ids, combination)

    def finish(self, scale: float) -> EmbeddingMatrix:
        if self.left.any():
            first = self.tokens[int(np.flatnonzero(self.left)[0])]
            raise ValueError(
                f"no step of transplant.fill could make a row for {int(self.left.sum())} tokens, the first of them "
                f"{first.surface.decode(errors='replace')!r}: end the list with statistics.normal, mean or zero"
            )
        rows = self.rows if scale == 1.0 else self.rows * scale
        bad = int((~torch.isfinite(rows).all(1)).sum())
        if bad:
            raise ValueError(f"{bad} transplanted rows are not finite: check the source matrix and transplant.scale")
        return _on_target(self.source, self.target, rows, self.output, self.bias)

    def provenance(self) -> Provenance:
        return self.record.build()


def _on_target(
    source: EmbeddingMatrix,
    target: Tokenizer,
    rows: torch.Tensor,
    output_rows: torch.Tensor | None,
    output_bias: torch.Tensor | None,
) -> EmbeddingMatrix:
    return replace(
        source,
        vocabulary=target.vocabulary,
        tokenizer=target,
        rows=rows,
        output_rows=output_rows,
        output_bias=output_bias,
        compose=None,
    )
