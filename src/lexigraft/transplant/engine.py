"""Moving a matrix onto another vocabulary: copy shared rows, fill in the rest, record each row's origin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.transplant.filling import Combination, Filled, FillingMethod, Gap, Make, new_rows
from lexigraft.transplant.provenance import Provenance, ProvenanceBuilder
from lexigraft.transplant.resize import Resize, resized
from lexigraft.vocab.alignment import EXACT, NORMALISED, ROLE, SURFACE, TIERS, Alignment, align
from lexigraft.vocab.tokenizer import Tokenizer


@dataclass(frozen=True)
class Transplanted:
    """A matrix on the target vocabulary and the provenance of each row.

    `project_to` asks the model for a learned projection of the rows to that width, which starts as `projection`
    `[dim, project_to]` where there is one; None: use the rows as they are. `notes` are the steps' own figures.
    """

    matrix: EmbeddingMatrix
    provenance: Provenance
    project_to: int | None = None
    projection: torch.Tensor | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Transplant:
    """Copy the rows of shared tokens, fill the others step by step.

    `fill` is tried in order: each step serves what it can of the tokens that are left. `output` are the steps for the
    output rows of an untied head, None: what the steps of `fill` say; a tied head stays tied. `bias` makes the output
    bias of new tokens: by the sums of their output rows (of their input rows under a tied head), the mean, or zero.
    `match` copies every shared token, the special ones alone (`roles`), or nothing (the random control); `normalised`
    also those that are equal after folding; `pairs` of a special token of the target and a source token, by content.
    `spaces` are further matrices that steps ask for by name. `scale` multiplies every input row. `dim` is the width
    that the model shall see, reached by `resize` before anything else.
    """

    fill: Sequence[FillingMethod]
    output: Sequence[FillingMethod] | None = None
    bias: Literal["combine", "mean", "zero"] = "combine"
    match: bool | Literal["roles"] = True
    normalised: bool = True
    pairs: Sequence[Sequence[str]] = ()
    spaces: Mapping[str, EmbeddingMatrix] = field(default_factory=dict)
    scale: float = 1.0
    dim: int | None = None
    resize: Resize = "pca"

    def __call__(
        self, source: EmbeddingMatrix, target: Tokenizer, seed: int, texts: Sequence[str] = ()
    ) -> Transplanted:
        """The source's rows on the target's vocabulary; what is random depends on `seed` alone.

        `texts` are of the target's language. `ValueError` if a token is left without a row, a row is not finite,
        `dim` cannot be reached, or a step lacks what it needs.
        """
        inner = resized(source, self.dim, self.resize, self.spaces)
        graft = _Graft(self, inner.matrix, target, texts, torch.Generator().manual_seed(seed))
        graft.copy()
        graft.fill()
        return Transplanted(graft.matrix(), graft.provenance(), inner.project_to, inner.projection, graft.notes)


@dataclass(frozen=True)
class Copy:
    """Every row as it is, bit for bit; for a target vocabulary that equals the source's."""

    def __call__(
        self, source: EmbeddingMatrix, target: Tokenizer, seed: int, texts: Sequence[str] = ()
    ) -> Transplanted:
        """The source's matrix; `ValueError` if the vocabularies differ."""
        count = len(target.vocabulary)
        if target.vocabulary.tokens != source.vocabulary.tokens[:count]:
            raise ValueError(
                f"transplant=copy needs identical vocabularies, but the source has {len(source.vocabulary)} tokens and "
                f"the target {count} other ones: use tokenizer=source, or another transplant option"
            )
        same = np.arange(count)
        builder = ProvenanceBuilder(count)
        builder.combine("exact", same, Combination.copies_of(same))
        output, bias = source.output_rows, source.output_bias
        matrix = replace(
            source,
            vocabulary=target.vocabulary,
            tokenizer=target,
            rows=source.rows[:count],
            output_rows=None if output is None else output[:count],
            output_bias=None if bias is None else bias[:count],
            compose=None,
        )
        return Transplanted(matrix, builder.build())


@dataclass(frozen=True)
class Shuffled:
    """The control for what rows know about their tokens: those of another transplant, dealt out anew.

    Special tokens keep theirs; every other row goes to a random token, with its output row and bias.
    """

    of: Transplant

    def __call__(
        self, source: EmbeddingMatrix, target: Tokenizer, seed: int, texts: Sequence[str] = ()
    ) -> Transplanted:
        """The rows of `of` in an order that depends on `seed` alone; errors are those of `of`."""
        made = self.of(source, target, seed, texts)
        ordinary = np.flatnonzero(target.vocabulary.ordinary)
        dealt = ordinary[torch.randperm(len(ordinary), generator=torch.Generator().manual_seed(seed)).numpy()]
        order = np.arange(len(target.vocabulary))
        order[ordinary] = dealt
        old = made.provenance
        tier = old.tier.copy()
        tier[ordinary] = len(old.tiers)
        provenance = Provenance((*old.tiers, "shuffled"), tier, old.made_of.take(order))
        m = made.matrix
        matrix = replace(
            m,
            rows=m.rows[order],
            output_rows=None if m.output_rows is None else m.output_rows[order],
            output_bias=None if m.output_bias is None else m.output_bias[order],
        )
        return replace(made, matrix=matrix, provenance=provenance)


class _Graft:
    """A transplant under way."""

    def __init__(
        self,
        plan: Transplant,
        source: EmbeddingMatrix,
        target: Tokenizer,
        texts: Sequence[str],
        generator: torch.Generator,
    ) -> None:
        self.plan, self.source, self.target, self.texts, self.generator = plan, source, target, texts, generator
        self.notes: dict[str, Any] = {}
        count = len(target.vocabulary)
        self.input = _Side(source.rows, count)
        self.output = None if source.output_rows is None else _Side(source.output_rows, count)
        self.bias = None if source.output_bias is None else source.output_bias.new_zeros(count)
        if plan.output is not None and self.output is None:
            self.notes["output"] = "not used: the source has no output rows apart from its input rows"

    @cached_property
    def alignment(self) -> Alignment:
        return align(
            self.source.vocabulary,
            self.target.vocabulary,
            normalised=self.plan.normalised,
            pairs=_by_hand(self.plan.pairs),
        )

    def copy(self) -> None:
        """Copy the matches; a padding token that the source does not have is zero."""
        copied = {True: (ROLE, EXACT, SURFACE, NORMALISED), "roles": (ROLE,), False: ()}[self.plan.match]
        for tier in copied:
            ids = np.flatnonzero(self.alignment.tier == tier)
            found = self.alignment.source_id[ids]
            for side in self._sides():
                side.copy(ids, found, TIERS[tier])
            self._bias(ids, Combination.copies_of(found))
        pad = self.target.vocabulary.roles.get("pad")
        if pad is not None and self.input.left[pad]:
            for side in self._sides():
                side.write(np.array([pad]), "padding", lambda rows: rows.new_zeros(1, rows.shape[1]))

    def fill(self) -> None:
        together = self.plan.output is None or self.output is None
        for method in self.plan.fill:
            ids, filled = self._ask(method, self.input)
            if filled is None:
                continue
            self.input.write(ids, filled.tier, filled.rows, filled.made_of)
            if together:
                if self.output is not None:
                    rows = filled.rows if filled.output is None else filled.output
                    self.output.write(ids, filled.tier, rows, filled.made_of)
                self._bias(ids, filled)
        if not together:
            assert self.output is not None
            assert self.plan.output is not None
            for method in self.plan.output:
                ids, filled = self._ask(method, self.output)
                if filled is not None:
                    rows = filled.rows if filled.output is None else filled.output
                    self.output.write(ids, filled.tier, rows, filled.made_of)
                    self._bias(ids, filled)

    def _ask(self, method: FillingMethod, side: "_Side") -> tuple[np.ndarray, Filled | None]:
        """The ids that the method serves of those that this side still lacks, and its answer."""
        ids = np.flatnonzero(side.left)
        if not len(ids):
            return ids, None
        shared = np.isin(self.alignment.tier, (EXACT, SURFACE))
        gap = Gap(
            source=self.source,
            target=self.target,
            ids=ids,
            shared_source=self.alignment.source_id[shared],
            shared_target=np.flatnonzero(shared),
            texts=self.texts,
            spaces=self.plan.spaces,
            generator=self.generator,
        )
        filled = method(gap)
        if filled.notes:
            self.notes[filled.tier] = {**self.notes.get(filled.tier, {}), **filled.notes}
        return (ids[filled.done], filled) if filled.done.any() else (ids[:0], None)

    def _bias(self, ids: np.ndarray, made: Filled | Combination) -> None:
        if self.bias is None or not len(ids):
            return
        old = self.source.output_bias
        assert old is not None
        if isinstance(made, Filled):
            sums = _sums(made.rows if made.output is None or self.output is None else made.output, made.made_of)
            if self.plan.bias != "combine" or sums is None:
                # A random or zero row says nothing about how frequent the token is: it gets the mean bias.
                self.bias[ids] = 0 if self.plan.bias == "zero" else old.float().mean().to(old.dtype)
                return
        else:
            sums = made
        self.bias[ids] = sums.apply(old[:, None])[:, 0]

    def _sides(self) -> list["_Side"]:
        return [self.input] if self.output is None else [self.input, self.output]

    def matrix(self) -> EmbeddingMatrix:
        for side in self._sides():
            if side.left.any():
                first = self.target.vocabulary[int(np.flatnonzero(side.left)[0])]
                raise ValueError(
                    f"no step of transplant.fill could make a row for {int(side.left.sum())} tokens, the first of them "
                    f"{first.surface.decode(errors='replace')!r}: end the list with statistics.normal, mean or zero"
                )
        scale = self.plan.scale
        rows = self.input.rows if scale == 1.0 else self.input.rows * scale
        for what, made in (("", rows), ("output ", None if self.output is None else self.output.rows)):
            bad = 0 if made is None else int((~torch.isfinite(made).all(1)).sum())
            if bad:
                raise ValueError(
                    f"{bad} transplanted {what}rows are not finite: check the source matrix and transplant.scale"
                )
        return replace(
            self.source,
            vocabulary=self.target.vocabulary,
            tokenizer=self.target,
            rows=rows,
            output_rows=None if self.output is None else self.output.rows,
            output_bias=self.bias,
            compose=None,
        )

    def provenance(self) -> Provenance:
        """Of the input rows, with that of the output rows where their sums are others."""
        provenance = self.input.record.build()
        return provenance if self.output is None else provenance.with_output(self.output.record.build())


class _Side:
    """New input or output rows in the making: which target ids still lack one, and where the others came from."""

    def __init__(self, source: torch.Tensor, count: int) -> None:
        self.source = source
        self.rows = source.new_zeros(count, source.shape[1])
        self.left = np.ones(count, dtype=bool)
        self.record = ProvenanceBuilder(count)

    def copy(self, ids: np.ndarray, found: np.ndarray, tier: str) -> None:
        """Indexed, not summed: a copied row is the source's bit for bit."""
        self.rows[torch.from_numpy(ids)] = self.source[torch.from_numpy(found)]
        self.left[ids] = False
        self.record.combine(tier, ids, Combination.copies_of(found))

    def write(self, ids: np.ndarray, tier: str, rows: Combination | Make, made_of: Combination | None = None) -> None:
        made = new_rows(rows, self.source)
        assert made.shape == (len(ids), self.rows.shape[1]), f"{tier} made rows of shape {tuple(made.shape)}"
        self.rows[torch.from_numpy(ids)] = made.to(self.rows.dtype)
        self.left[ids] = False
        sums = _sums(rows, made_of)
        if sums is None:
            self.record.name(tier, ids)
        else:
            self.record.combine(tier, ids, sums)


def _by_hand(pairs: Sequence[Sequence[str]]) -> dict[str, str]:
    for pair in pairs:
        if len(pair) != 2:
            raise ValueError(
                f"transplant.pairs holds {list(pair)!r}: two tokens are expected in each pair, the target's and the "
                "source's"
            )
    return {pair[0]: pair[1] for pair in pairs}


def _sums(rows: Combination | Make, made_of: Combination | None) -> Combination | None:
    return rows if isinstance(rows, Combination) else made_of
