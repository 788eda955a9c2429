"""The method that a short probe likes best, of all that the inputs allow."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.transplant.engine import Transplant, Transplanted
from lexigraft.transplant.provenance import CARRY_NOTHING, NO_TOKEN, Provenance
from lexigraft.vocab.tokenizer import Tokenizer

Probe = Callable[[Transplanted, int], float]  # a transplant and a seed -> a loss, lower is better

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Choice:
    """The chosen transplant, and a report of what was tried in plain values."""

    method: Callable[..., Transplanted]
    report: dict[str, Any]


@dataclass(frozen=True)
class Auto:
    """Tries every candidate with every seed in a probe of `steps` steps, and takes the one with the least mean loss.

    `candidates` are transplants by name. One that refuses its inputs (no donor, no texts, an extra that is missing) is
    left out, with its reason. `spaces` are the further matrices of candidates whose own are None. The probe is the
    caller's, who makes it `steps` long.
    """

    candidates: Mapping[str, Callable[..., Transplanted]]
    steps: int = 50
    seeds: Sequence[int] = (0, 1, 2)
    spaces: Mapping[str, EmbeddingMatrix] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.candidates:
            raise ValueError("transplant.candidates is empty: name at least one method to try")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"transplant.seeds={list(self.seeds)} was given: one or more different seeds are expected")
        if self.steps < 1:
            raise ValueError(f"transplant.steps={self.steps} was given: a probe has at least 1 step")

    def __call__(
        self,
        source: EmbeddingMatrix,
        target: Tokenizer,
        texts: Sequence[str] = (),
        *,
        probe: Probe,
        measure: str = "loss",
        told: Callable[[str], None] = lambda line: None,
    ) -> Choice:
        """The best candidate, to be called as any transplant is.

        A seed decides random rows and, in the probe, the order of the data, alike for all candidates: paired by seed,
        they differ in nothing but the method. `measure` names the probe's loss, `told` gets a line a candidate.
        `ValueError` if none of them could be made.
        """
        tried: dict[str, _Tried] = {}
        left_out: dict[str, str] = {}
        for name in self.candidates:
            outcome = self._try(name, source, target, texts, probe)
            if isinstance(outcome, _Tried):
                tried[name] = outcome
                told(f"auto        {name}: {measure} {np.mean(outcome.losses):.4f}")
            else:
                left_out[name] = outcome
                told(f"auto        {name}: left out")
        if not tried:
            name, reason = next(iter(left_out.items()))
            raise ValueError(f"none of transplant.candidates can be used here; {name}, for example: {reason}")
        best = min(tried, key=lambda name: float(np.mean(tried[name].losses)))
        report = {
            "chosen": best,
            "measure": measure,
            "steps": self.steps,
            "seeds": list(self.seeds),
            "confidence": CONFIDENCE,
            "tried": _ranked(tried, best),
            "left_out": left_out,
        }
        return Choice(self._method(best), report)

    def _method(self, name: str) -> Callable[..., Transplanted]:
        """The candidate, with the further matrices of all if it has none to itself."""
        candidate = self.candidates[name]
        if isinstance(candidate, Transplant) and candidate.spaces is None:
            return replace(candidate, spaces=self.spaces)
        return candidate

    def _try(
        self, name: str, source: EmbeddingMatrix, target: Tokenizer, texts: Sequence[str], probe: Probe
    ) -> "_Tried | str":
        """What the probe says of a candidate; a sentence where it cannot be used."""
        begin, losses, method = time.perf_counter(), [], self._method(name)
        coverage = None
        for seed in self.seeds:
            try:
                made = method(source, target, seed, texts)
            except (ValueError, FileNotFoundError, ImportError) as error:
                return str(error)
            loss = probe(made, seed)
            if not math.isfinite(loss):
                return f"its loss in the probe was {loss}"
            losses.append(loss)
            coverage = _coverage(made.provenance)
        return _Tried(np.array(losses), coverage, round(time.perf_counter() - begin, 1))


@dataclass(frozen=True)
class _Tried:
    """Losses by seed [S], the share of tokens whose row carries something of the source, and seconds in all."""

    losses: np.ndarray
    coverage: float | None
    seconds: float


def half_width(values: np.ndarray) -> float | None:
    """Half of the 95 % interval of the mean of `values` [S] by Student's t; None for a single one."""
    from scipy.special import stdtrit

    if len(values) < 2:
        return None
    quantile = stdtrit(len(values) - 1, 0.5 + CONFIDENCE / 2)
    return float(quantile * values.std(ddof=1) / math.sqrt(len(values)))


def _ranked(tried: Mapping[str, _Tried], best: str) -> list[dict[str, Any]]:
    """Plain values of all that were tried, the best first."""
    order = sorted(tried, key=lambda name: (float(np.mean(tried[name].losses)), name != best))
    rows = []
    for name in order:
        outcome = tried[name]
        behind = outcome.losses - tried[best].losses
        rows.append(
            {
                "method": name,
                "losses": outcome.losses.tolist(),
                "mean": float(outcome.losses.mean()),
                "half_width": half_width(outcome.losses),
                "behind": float(behind.mean()),
                "behind_half_width": half_width(behind),
                "coverage": outcome.coverage,
                "seconds": outcome.seconds,
            }
        )
    return rows


def _coverage(provenance: Provenance) -> float | None:
    tokens = int((~provenance.among(NO_TOKEN)).sum())
    carrying = int((~provenance.among(CARRY_NOTHING)).sum())
    return round(carrying / tokens, 6) if tokens else None
