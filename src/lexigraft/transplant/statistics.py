"""Rows made from what all source rows have in common: zero, their mean, random with their norms or (co)variance."""

import torch

from lexigraft.embeddings.axes import fixed_signs
from lexigraft.transplant.filling import Filled, Gap, everything
from lexigraft.vocab.vocabulary import UNUSED

# The share of the covariance that transformers leaves around the mean, so that new rows are not all the same.
_NARROW = 1e-9


def zero(gap: Gap) -> Filled:
    """Zero rows for all N tokens."""
    count = len(gap.ids)
    return Filled("zero", everything(gap), lambda rows: rows.new_zeros(count, rows.shape[1]))


def mean(gap: Gap) -> Filled:
    """The mean source row for all N tokens."""
    used, count = _used(gap), len(gap.ids)
    return Filled("mean", everything(gap), lambda rows: _mean(rows[used]).to(rows.dtype).expand(count, -1))


def normal(gap: Gap) -> Filled:
    """Random rows of matched norm for all N tokens: an isotropic direction times the norm of a random source row."""
    used, count = _used(gap), len(gap.ids)

    def make(rows: torch.Tensor) -> torch.Tensor:
        norms = rows[used].float().norm(dim=1)
        norms = norms[norms > 0]
        if len(norms) == 0:
            raise ValueError("every source row is zero, so no norm can be drawn from it: check the source matrix")
        direction = torch.randn(count, rows.shape[1], generator=gap.generator)
        direction /= direction.norm(dim=1, keepdim=True)
        chosen = torch.randint(len(norms), (count, 1), generator=gap.generator)
        return (direction * norms[chosen]).to(rows.dtype)

    return Filled("normal", everything(gap), make)


def uniform(gap: Gap) -> Filled:
    """Random rows for all N tokens, each coordinate from U[-a, a] with the variance of the source's (Kim 2014)."""
    used, count = _used(gap), len(gap.ids)

    def make(rows: torch.Tensor) -> torch.Tensor:
        reach = (3 * rows[used].float().var(correction=0)).sqrt()
        drawn = torch.rand(count, rows.shape[1], generator=gap.generator)
        return ((2 * drawn - 1) * reach).to(rows.dtype)

    return Filled("uniform", everything(gap), make)


def covariance(gap: Gap, scale: float = 1.0) -> Filled:
    """Random rows ~ Normal(mu, scale * Sigma) for all N tokens, mu and Sigma of the source rows `[V, D]` (Hewitt 2021).

    `scale` 1 is Hewitt's; `resize` is the one of transformers. Drawn in the eigenbasis of Sigma, so that a Sigma
    without full rank is no special case.
    """
    if scale < 0:
        raise ValueError(f"scale={scale} of the covariance should not be negative")
    used, count = _used(gap), len(gap.ids)

    def make(rows: torch.Tensor) -> torch.Tensor:
        known = rows[used].double()
        centre = known.mean(0)
        variances, axes = torch.linalg.eigh((known - centre).T @ (known - centre) / len(known))
        spread = (scale * variances.clamp(min=0)).sqrt()
        drawn = torch.randn(count, rows.shape[1], generator=gap.generator, dtype=torch.float64)
        return (centre + (drawn * spread) @ fixed_signs(axes).T).to(rows.dtype)

    return Filled("covariance", everything(gap), make)


def unknown(gap: Gap) -> Filled:
    """Rows of tokens of which nothing is known, the last step of most options: as `normal`, but rows that a
    language-model head reads (output rows, and all rows under a tied head) as `covariance`.

    Output rows have a large mean in common. A row without it makes its token likely everywhere: with half of the new
    output rows isotropic, a small decoder came to 7.1 bits per byte instead of 2.4 (experiments/transplant-methods).
    """
    drawn = covariance(gap)
    if gap.source.tied:
        return drawn
    plain = normal(gap)
    return Filled(plain.tier, plain.done, plain.rows, output=drawn.rows)


def resize(gap: Gap) -> Filled:
    """Rows as transformers' `resize_token_embeddings` makes them: Normal(mu, 1e-9 * Sigma) of the source rows.

    In fp16 and bf16, whose steps are wider than that, such rows come out equal, as they do there.
    """
    filled = covariance(gap, _NARROW)
    return Filled("resize", filled.done, filled.rows)


def _mean(rows: torch.Tensor) -> torch.Tensor:
    return rows.mean(0, dtype=torch.float32)


def _used(gap: Gap) -> torch.Tensor:
    """Bool [V]: rows that belong to a token, not to the padding of a vocabulary's size."""
    return torch.tensor([token.role != UNUSED for token in gap.source.vocabulary])
