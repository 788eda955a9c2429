"""How well static vectors tell which tokens stand together in texts that they were not trained on."""

from collections.abc import Sequence

import numpy as np

_MOST = 50_000  # tokens to be told; more would not move the mean
_POWER = 0.75  # of a token's count, by which drawn tokens are chosen (Mikolov et al., 2013)


def negative_sampling_loss(
    rows: np.ndarray,
    output_rows: np.ndarray,
    counts: np.ndarray,
    texts: Sequence[np.ndarray],
    *,
    window: int,
    negative: int,
    skip_gram: bool,
    seed: int = 0,
) -> float | None:
    """Nats for each token that is told, `negative` drawn ones included: -log s(u v) - sum of log s(-u' v).

    v is the row of a token and u the output row of one beside it (skip-gram), or v is the mean row of the tokens
    around u's (CBOW); rows and output rows `[V, D]`, `texts` their row numbers. The drawn u' follow `counts` `[V]` and
    `seed`, so that two measurements of a text meet the same ones. Whole windows, no token passed over; of long texts
    50,000 tokens to be told. None where no token stands beside another.
    """
    inside, around = _told(texts, window, skip_gram, np.random.default_rng([seed, 0]))
    if not len(inside):
        return None
    share = counts.astype(np.float64) ** _POWER
    drawn = np.random.default_rng([seed, 1]).choice(len(counts), (len(inside), negative), p=share / share.sum())
    there = around >= 0
    known = np.where(there[:, :, None], rows[around], 0).sum(1, dtype=np.float64) / there.sum(1)[:, None]
    right = (known * output_rows[inside]).sum(1)
    wrong = (known[:, None] * output_rows[drawn]).sum(2)
    return round(float((np.logaddexp(0, -right) + np.logaddexp(0, wrong).sum(1)).mean()), 6)


def _told(
    texts: Sequence[np.ndarray], window: int, skip_gram: bool, draw: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Tokens to be told `[P]`, and those that tell them `[P, 2 window]`, or `[P, 1]` for skip-gram; -1 is none."""
    gap = np.full(window, -1, np.int64)
    line = np.concatenate([gap, *(part for text in texts for part in (text, gap))])
    places = np.flatnonzero(line >= 0)
    offsets = np.array([o for o in range(-window, window + 1) if o], np.int64)
    around = line[places[:, None] + offsets]
    inside = line[places]
    if skip_gram:
        place, side = np.nonzero(around >= 0)
        inside, around = inside[place], around[place, side][:, None]
    else:
        told = (around >= 0).any(1)
        inside, around = inside[told], around[told]
    if len(inside) > _MOST:
        chosen = np.sort(draw.choice(len(inside), _MOST, replace=False))
        inside, around = inside[chosen], around[chosen]
    return inside, around
