"""What may be wrong with a transplant: donor rows out of the ordinary, source rows never trained, other digits, ..."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.transplant.cautions import OUTLYING_COSINE, OUTLYING_NORM, warnings_of
from lexigraft.transplant.digits import digit_scheme
from lexigraft.transplant.provenance import CARRY_NOTHING, COPIED, Provenance, label
from lexigraft.transplant.untrained import untrained
from lexigraft.vocab.vocabulary import Vocabulary

SAMPLED, NEIGHBOURS, NAMED = 12, 5, 20

_ROWS_AT_A_TIME = 4096


@dataclass(frozen=True)
class Diagnosis:
    """All in plain values, so that `dataclasses.asdict` of it can be written as JSON.

    `digits`: how source and target write numbers. `norms`: of the source's rows and of each tier's. `outliers`: for
    the source and each further matrix, tokens whose rows are out of the ordinary. `untrained`: source tokens whose rows
    were hardly trained. `neighbours`: of sampled new tokens among the copied ones. `unreachable`: entries that their
    tokenizer never produces. `warnings`: a sentence for each finding that matters.
    """

    digits: dict[str, str | None]
    norms: dict[str, dict[str, float]]
    outliers: dict[str, dict[str, Any]]
    untrained: dict[str, Any]
    neighbours: list[dict[str, Any]]
    unreachable: dict[str, dict[str, Any]]
    warnings: list[str] = field(default_factory=list)


def diagnose(
    source: EmbeddingMatrix,
    new: EmbeddingMatrix,
    provenance: Provenance,
    summary: Mapping[str, Any],
    counts: np.ndarray | None = None,
    spaces: Mapping[str, EmbeddingMatrix] | None = None,
    seed: int = 0,
) -> Diagnosis:
    """Look a transplant over. `summary` is that of `summarise`, `counts` [T] how often each target token occurs.

    `spaces` are the further matrices that it used. Copies no matrix: some thousand rows are looked at together.
    """
    outliers = {name: _outliers(matrix) for name, matrix in (spaces or {}).items()}
    outliers["source"] = _outliers(source, provenance)
    flagged = untrained(source)
    suspects = _untrained_tokens(source, flagged, provenance)
    norms = _norms_by_tier(source, new, provenance)
    digits = {"source": digit_scheme(source.tokenizer, source.vocabulary),
              "target": digit_scheme(new.tokenizer, new.vocabulary)}  # fmt: skip
    unreachable = {"source": _unreachable(source.vocabulary), "target": _unreachable(new.vocabulary)}
    neighbours = _neighbours(new, provenance, counts, seed)
    found = Diagnosis(digits, norms, outliers, suspects, neighbours, unreachable)
    return replace(found, warnings=list(warnings_of(summary, asdict(found), calculates=source.checkpoint is not None)))


def _outliers(matrix: EmbeddingMatrix, provenance: Provenance | None = None) -> dict[str, Any]:
    """Ordinary tokens whose rows are very long or close to all others, the worst first.

    With a provenance, whose sums are over these rows: how many sums of several rows have such a row among them.
    """
    norms = torch.linalg.vector_norm(matrix.rows, dim=1, dtype=torch.float32)
    usable = torch.isfinite(norms) & (norms > 0)
    total = torch.zeros(matrix.dim)
    for part in _parts(len(norms)):
        kept = usable[part]
        total += (matrix.rows[part][kept].float() / norms[part][kept, None]).sum(0)
    others = max(1, int(usable.sum()) - 1)
    cosines = torch.zeros(len(norms))
    for part in _parts(len(norms)):
        directions = matrix.rows[part].float() / norms[part, None].clamp(min=1e-30)
        cosines[part] = (directions @ total - 1) / others
    cosines[~usable] = 0
    ordinary = torch.tensor(matrix.vocabulary.ordinary)
    median = norms[usable].median() if usable.any() else torch.ones(())
    long, close = (usable & ordinary & (measure > limit) for measure, limit in
                   ((norms / median, OUTLYING_NORM), (cosines, OUTLYING_COSINE)))  # fmt: skip
    found: dict[str, Any] = {
        "rows": len(norms),
        "not_finite": int((~torch.isfinite(norms)).sum()),
        "long": int(long.sum()),
        "longest": _worst(matrix.vocabulary, long, norms / median, "times_the_median"),
        "close": int(close.sum()),
        "closest": _worst(matrix.vocabulary, close, cosines, "mean_cosine"),
    }
    if provenance is not None:
        several = np.diff(provenance.made_of.start) > 1
        found["sums"] = int((several & (_weights(provenance, (long | close).numpy()) > 0)).sum())
    return found


def _worst(vocabulary: Vocabulary, found: torch.Tensor, measure: torch.Tensor, name: str) -> list[dict[str, Any]]:
    ids = torch.nonzero(found)[:, 0]
    ids = ids[torch.argsort(measure[ids], descending=True, stable=True)][:NAMED]
    return [{"token": label(vocabulary[i]), name: round(measure[i].item(), 4)} for i in ids.tolist()]


def _untrained_tokens(source: EmbeddingMatrix, found: dict[int, str], provenance: Provenance) -> dict[str, Any]:
    """The source tokens that look untrained, and how many new rows consist of them for the most part."""
    flags = np.zeros(len(source.vocabulary), bool)
    flags[list(found)] = True
    return {
        "tokens": len(found),
        "of": len(source.vocabulary),
        "new_rows": int((_weights(provenance, flags) > 0.5).sum()),
        "worst": [{"token": label(source.vocabulary[i]), "why": why} for i, why in list(found.items())[:NAMED]],
    }


def _weights(provenance: Provenance, flags: np.ndarray) -> np.ndarray:
    """What share of each new row's weights lies on the flagged source rows, float [T]."""
    made = provenance.made_of
    row = np.repeat(np.arange(len(made)), np.diff(made.start))
    weight = np.abs(made.weight)
    whole = np.bincount(row, weight, len(made))
    return np.asarray(np.bincount(row, weight * flags[made.source], len(made)) / np.maximum(whole, 1e-30))


def _norms_by_tier(
    source: EmbeddingMatrix, new: EmbeddingMatrix, provenance: Provenance
) -> dict[str, dict[str, float]]:
    """Rows, and the 5th, 50th and 95th percentile of their norms: of the source, of each tier; NaN and zero left out.

    The rows of the source are those with a token.
    """
    old = torch.linalg.vector_norm(source.rows, dim=1, dtype=torch.float32).numpy()
    made = torch.linalg.vector_norm(new.rows, dim=1, dtype=torch.float32).numpy()
    found = {"source": _quantiles(old)}
    for number, tier in enumerate(provenance.tiers):
        found[tier] = _quantiles(made[provenance.tier == number])
    return {name: norms for name, norms in found.items() if norms}


def _quantiles(norms: np.ndarray) -> dict[str, float]:
    norms = norms[np.isfinite(norms) & (norms > 0)]
    if not len(norms):
        return {}
    low, median, high = (round(float(q), 6) for q in np.quantile(norms, (0.05, 0.5, 0.95)))
    return {"rows": len(norms), "low": low, "median": median, "high": high}


def _neighbours(
    new: EmbeddingMatrix, provenance: Provenance, counts: np.ndarray | None, seed: int
) -> list[dict[str, Any]]:
    """For some new tokens the copied ones of largest cosine: the most frequent, or, where nothing is counted, any."""
    norms = torch.linalg.vector_norm(new.rows, dim=1, dtype=torch.float32)
    usable = (torch.isfinite(norms) & (norms > 0)).numpy()
    usable &= np.array([t.role is None and not t.surface.isspace() for t in new.vocabulary])
    copied = np.flatnonzero(usable & provenance.among(COPIED))
    made = usable & ~provenance.among((*COPIED, *CARRY_NOTHING))
    if not made.any():  # a control: its neighbours show what chance looks like
        made = usable & ~provenance.among(COPIED)
    ids = _sample(np.flatnonzero(made), counts, seed)
    if not len(ids) or not len(copied):
        return []
    queries = torch.nn.functional.normalize(new.rows[ids].float(), dim=1)
    cosines = torch.empty(len(ids), len(copied))
    for part in _parts(len(copied)):
        keys = copied[part]
        cosines[:, part] = queries @ (new.rows[keys].float() / norms[keys, None]).T
    return [
        {
            "token": label(new.vocabulary[i]),
            "tier": provenance.tiers[provenance.tier[i]],
            **({} if counts is None else {"occurrences": int(counts[i])}),
            "nearest": [
                {"token": label(new.vocabulary[copied[j]]), "cosine": round(row[j].item(), 4)}
                for j in torch.argsort(row, descending=True, stable=True)[:NEIGHBOURS].tolist()
            ],
        }
        for i, row in zip(ids.tolist(), cosines)
    ]


def _sample(ids: np.ndarray, counts: np.ndarray | None, seed: int) -> np.ndarray:
    if counts is None:
        return np.sort(np.random.default_rng(seed).permutation(ids)[:SAMPLED])
    return ids[np.argsort(-counts[ids], kind="stable")][:SAMPLED]


def _unreachable(vocabulary: Vocabulary) -> dict[str, Any]:
    ids = sorted(vocabulary.unreachable)
    return {"tokens": len(ids), "examples": [label(vocabulary[i]) for i in ids[:5]]}


def _parts(count: int) -> Iterator[slice]:
    for start in range(0, count, _ROWS_AT_A_TIME):
        yield slice(start, min(count, start + _ROWS_AT_A_TIME))
