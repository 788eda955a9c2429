"""Where every transplanted row came from, and a summary of it by type and by corpus frequency."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.transplant.duplicates import find_duplicates
from lexigraft.transplant.filling import Combination
from lexigraft.vocab.vocabulary import UNUSED, Token, Vocabulary

if TYPE_CHECKING:
    import pyarrow as pa

COPIED = ("role", "exact", "surface", "normalised")  # tiers of rows that are one source row, bit for bit
# Tiers of rows that no token has; and those whose rows say nothing about the token itself. All others carry something.
NO_TOKEN = ("padding", "unused")
CARRY_NOTHING = (*NO_TOKEN, "zero", "mean", "normal", "uniform", "hewitt", "covariance", "resize", "shuffled", "random")
# Tiers whose rows are equal, or nearly so, on purpose.
_ALIKE = (*NO_TOKEN, "zero", "mean", "resize")
_WRITTEN_ROWS, _WRITTEN_SOURCES = 1 << 16, 1 << 20
_BYTE = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True)
class Provenance:
    """Per target token: the tier that made its row, and the source rows and weights that it is made of.

    `tier` uint8 [T] indexes `tiers`. `made_of` has an empty sum for rows that are not sums of source rows.
    `output` is the same for the output rows of an untied head, None where they were made as the input rows were.
    """

    tiers: tuple[str, ...]
    tier: np.ndarray
    made_of: Combination
    output: "Provenance | None" = None

    def count(self, weight: np.ndarray | None = None) -> dict[str, int]:
        """Tokens per tier, or, with corpus counts `weight` [T], occurrences per tier."""
        totals = np.bincount(self.tier, weights=weight, minlength=len(self.tiers))
        return {name: int(n) for name, n in zip(self.tiers, totals) if n}

    def with_output(self, output: "Provenance") -> "Provenance":
        """With that of the output rows, unless they were made as the input rows were."""
        return replace(self, output=None if _same(self, output) else output)

    def among(self, tiers: tuple[str, ...]) -> np.ndarray:
        """Bool [T]: rows that one of these tiers made."""
        return np.isin(self.tier, [i for i, name in enumerate(self.tiers) if name in tiers])

    def save(self, path: Path, source: Vocabulary, new: EmbeddingMatrix) -> None:
        """Write a Parquet file with one record per token of `new`, whose rows these are; whole or not at all.

        `id`, `token` (text; bytes that are none as `<0xNN>`), `surface` (bytes), `starts_word`, `role`, `tier`,
        `sources` (a list of `{id, token, weight}`, the tokens being `source`'s) and `norm` of the row; where the
        output rows were made in another way, `output_tier` and `output_sources` too.
        """
        import pyarrow.parquet as pq  # third of a second, and most callers only build the record

        assert len(self.tier) == len(new.vocabulary)
        texts = _texts(source)
        norms = torch.linalg.vector_norm(new.rows, dim=1, dtype=torch.float32).numpy()
        temporary = path.with_name(path.name + ".tmp")
        writer = None
        for start, stop in self._parts():
            part = self._records(start, stop, new.vocabulary, norms, texts)
            writer = writer or pq.ParquetWriter(temporary, part.schema, compression="zstd", write_page_checksum=True)
            writer.write_table(part)
        assert writer is not None, "a vocabulary without tokens"
        writer.close()
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Provenance":
        """What `save` wrote; `FileNotFoundError` without the file, `ValueError` where it is damaged or another's."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not path.is_file():
            raise FileNotFoundError(f"there is no {path}: give a folder that `lexigraft transplant` wrote")
        try:
            table = pq.read_table(path, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:  # the former for a damaged file, both for one cut off
            what = " ".join(str(error).split())
            raise ValueError(f"{path} is damaged or no Parquet file ({what}): copy the folder again") from error
        if not {"tier", "sources"} <= set(table.column_names):
            raise ValueError(f"{path} holds no provenance of rows, but the columns {', '.join(table.column_names)}")
        output = _of_columns(table, "output_") if "output_tier" in table.column_names else None
        return replace(_of_columns(table, ""), output=output)

    def _parts(self) -> Iterator[tuple[int, int]]:
        """Ranges of rows that are written together: bounded by their own number and by that of their sources."""
        starts = [p.made_of.start for p in (self, self.output) if p is not None]
        sources = np.sum(starts, axis=0)
        start, count = 0, len(self.tier)
        while start < count:
            fits = int(np.searchsorted(sources, sources[start] + _WRITTEN_SOURCES, side="right")) - 1
            stop = min(count, start + _WRITTEN_ROWS, max(fits, start + 1))
            yield start, stop
            start = stop

    def _records(self, start: int, stop: int, tokens: Vocabulary, norms: np.ndarray, texts: "pa.Array") -> "pa.Table":
        import pyarrow as pa

        part = tokens.tokens[start:stop]
        columns: dict[str, Any] = {
            "id": pa.array(np.arange(start, stop, dtype=np.int32)),
            "token": pa.array([readable(t) for t in part], pa.string()),
            "surface": pa.array([t.surface for t in part], pa.binary()),
            "starts_word": pa.array([t.starts_word for t in part], pa.bool_()),
            "role": pa.array([t.role for t in part], pa.string()),
            **self._columns(start, stop, texts, ""),
            "norm": pa.array(norms[start:stop]),
        }
        if self.output is not None:
            columns |= self.output._columns(start, stop, texts, "output_")
        return pa.table(columns)

    def _columns(self, start: int, stop: int, texts: "pa.Array", prefix: str) -> dict[str, Any]:
        """Tier and sources of some rows."""
        import pyarrow as pa

        made = self.made_of
        begin, end = int(made.start[start]), int(made.start[stop])
        ids = pa.array(made.source[begin:end].astype(np.int32))
        weights = pa.array(made.weight[begin:end].astype(np.float32))
        sums = pa.StructArray.from_arrays([ids, texts.take(ids), weights], ["id", "token", "weight"])
        offsets = pa.array((made.start[start : stop + 1] - begin).astype(np.int32))
        return {
            f"{prefix}tier": pa.array(self.tiers, pa.string()).take(pa.array(self.tier[start:stop])),
            f"{prefix}sources": pa.ListArray.from_arrays(offsets, sums),
        }


class ProvenanceBuilder:
    """Collects the provenance of T rows, a group of rows at a time."""

    def __init__(self, count: int) -> None:
        self._tiers: list[str] = []
        self._tier = np.full(count, 255, np.uint8)
        self._sums: list[tuple[np.ndarray, Combination]] = []

    def name(self, tier: str, ids: np.ndarray) -> None:
        """Rows `ids` were made by `tier`, not as sums of source rows."""
        if tier not in self._tiers:
            self._tiers.append(tier)
        self._tier[ids] = self._tiers.index(tier)

    def combine(self, tier: str, ids: np.ndarray, combination: Combination) -> None:
        """Rows `ids` are the sums of `combination`, in order."""
        self.name(tier, ids)
        self._sums.append((ids, combination))

    def build(self) -> Provenance:
        """The provenance; every row must have been named."""
        assert (self._tier != 255).all(), "a row was left without provenance"
        length = np.zeros(len(self._tier), np.int64)
        for ids, c in self._sums:
            length[ids] = np.diff(c.start)
        start = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
        source, weight = np.zeros(start[-1], np.int64), np.zeros(start[-1], np.float32)
        for ids, c in self._sums:
            into = np.repeat(start[ids] - c.start[:-1], np.diff(c.start)) + np.arange(len(c.source))
            source[into], weight[into] = c.source, c.weight
        return Provenance(tuple(self._tiers), self._tier, Combination(start, source, weight))


def summarise(
    provenance: Provenance,
    source: EmbeddingMatrix,
    new: EmbeddingMatrix,
    counts: np.ndarray | None = None,
    notes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Coverage by type and, given corpus `counts` [T], by occurrence; rows per tier; norms before and after; doubles.

    Coverage is the share of tokens (padding apart) whose row carries what the source knows about them. `notes` are
    what the steps tell of themselves. NaN and zero rows are counted (padding apart), and left out of the norms.
    """
    summary: dict[str, Any] = {
        "source_tokens": len(source.rows),
        "target_tokens": len(new.rows),
        "dim": new.dim,
        "tokens_per_tier": provenance.count(),
        "coverage_of_types": _coverage(provenance.count()),
    }
    if counts is not None:
        occurrences = provenance.count(counts)
        summary["occurrences_per_tier"] = occurrences
        summary["coverage_of_occurrences"] = _coverage(occurrences)
    token = np.array([t.role not in ("pad", UNUSED) for t in new.vocabulary])
    summary |= _state(provenance, source.rows, new.rows, token)
    if new.output_rows is not None and source.output_rows is not None:
        how = provenance.output or provenance
        if provenance.output is not None:
            summary["output_tokens_per_tier"] = how.count()
            summary["output_coverage_of_types"] = _coverage(how.count())
        summary["output_rows"] = _state(how, source.output_rows, new.output_rows, token)
    summary["notes"] = dict(notes or {})
    return summary


def readable(token: Token) -> str:
    """The token's text; bytes that are no text, or that SentencePiece wrote as such, as `<0xNN>`."""
    if token.byte_fallback:
        return "".join(f"<0x{byte:02X}>" for byte in token.surface)
    text = token.surface.decode(errors="surrogateescape")
    return _BYTE.sub(lambda found: f"<0x{ord(found[0]) - 0xDC00:02X}>", text)


def label(token: Token) -> str:
    """The token as people shall see it in a list or a picture: what continues a word after `##`, spaces as `␣`."""
    if token.role == UNUSED:
        return "<unused>"
    text = readable(token).replace(" ", "␣")
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return f"##{text}" if token.starts_word is False and token.role is None else text


def _same(one: Provenance, other: Provenance) -> bool:
    a, b = one.made_of, other.made_of
    return (
        np.array_equal(np.array(one.tiers)[one.tier], np.array(other.tiers)[other.tier])
        and np.array_equal(a.start, b.start)
        and np.array_equal(a.source, b.source)
        and np.array_equal(a.weight, b.weight)
    )


def _state(provenance: Provenance, source_rows: torch.Tensor, rows: torch.Tensor, token: np.ndarray) -> dict[str, Any]:
    """Norms before and after, and the rows that something is wrong with; `token` bool [T]: it is no padding."""
    norms = torch.linalg.vector_norm(rows, dim=1, dtype=torch.float32)
    sound = torch.isfinite(norms) & (norms > 0)
    considered = sound.numpy() & token & ~provenance.among(_ALIKE)
    doubles = find_duplicates(rows, provenance.made_of, source_rows, considered)
    return {
        "norm_of_source_rows": _norms(torch.linalg.vector_norm(source_rows, dim=1, dtype=torch.float32)),
        "norm_of_new_rows": _norms(norms),
        "zero_rows": int(((norms == 0).numpy() & token).sum()),
        "not_finite_rows": int((~torch.isfinite(norms)).sum()),
        "duplicate_rows": {
            "copies_of_one_source_row": doubles.copies,
            "sums_of_the_same_rows": doubles.same_sums,
            "accidental": len(doubles.accidental),
            "accidental_ids": doubles.accidental[:20].tolist(),
        },
    }


def _coverage(per_tier: dict[str, int]) -> float | None:
    total = sum(n for tier, n in per_tier.items() if tier not in NO_TOKEN)
    carried = sum(n for tier, n in per_tier.items() if tier not in CARRY_NOTHING)
    return None if total == 0 else round(carried / total, 6)


def _norms(norms: torch.Tensor) -> dict[str, float | None]:
    """Mean and standard deviation of the rows that are neither zero nor NaN."""
    kept = norms[torch.isfinite(norms) & (norms > 0)]
    if len(kept) == 0:
        return {"mean": None, "std": None}
    return {"mean": round(kept.mean().item(), 6), "std": round(kept.std(correction=0).item(), 6)}


def _texts(vocabulary: Vocabulary) -> "pa.Array":
    import pyarrow as pa

    return pa.array([readable(token) for token in vocabulary], pa.string())


def _of_columns(table: "pa.Table", prefix: str) -> Provenance:
    tier = table.column(f"{prefix}tier").combine_chunks().dictionary_encode()
    sums = table.column(f"{prefix}sources").combine_chunks()
    start = np.concatenate([[0], np.cumsum(sums.value_lengths().to_numpy(zero_copy_only=False))]).astype(np.int64)
    values = sums.flatten()
    made_of = Combination(
        start,
        values.field("id").to_numpy(zero_copy_only=False).astype(np.int64),
        values.field("weight").to_numpy(zero_copy_only=False),
    )
    return Provenance(tuple(tier.dictionary.to_pylist()), tier.indices.to_numpy().astype(np.uint8), made_of)
