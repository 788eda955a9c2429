"""Mean, spread and interval of the scores of several runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

Scores = Sequence[float] | np.ndarray  # of runs
Method = Literal["t", "percentile", "bca"]
_NAN = math.nan


@dataclass(frozen=True)
class Summary:
    """`deviation` is that of a run (n - 1), `error` that of the mean, `low` and `high` the interval of the mean.

    All but `mean` are NaN for one run.
    """

    count: int
    mean: float
    deviation: float
    error: float
    low: float
    high: float


def summarise(scores: Scores, alpha: float = 0.05, method: Method = "t", seed: int = 0) -> Summary:
    """Of independent runs. The interval is Student's t, or a bootstrap's (see `bootstrap_interval`).

    `ValueError` for no scores and for NaN among them.
    """
    values = require_scores(scores)
    count, mean = len(values), float(values.mean())
    if count == 1:
        return Summary(1, mean, _NAN, _NAN, _NAN, _NAN)
    deviation = float(values.std(ddof=1))
    error = deviation / math.sqrt(count)
    low, high = _t_interval(mean, error, count, alpha) if method == "t" else bootstrap_interval(
        scores, alpha, method, seed=seed
    )  # fmt: skip
    return Summary(count, mean, deviation, error, low, high)


def summarise_folds(scores: Scores, train: float, test: float, alpha: float = 0.05) -> Summary:
    """Of runs on folds or random splits whose training sets overlap, with t interval.

    The variance of the mean is (1/n + test/train) s^2, of n runs in all, with `train` and `test` texts in each
    (Nadeau & Bengio 2003); as independent runs they would seem far surer than they are.
    """
    values = require_scores(scores)
    count, mean = len(values), float(values.mean())
    if count == 1:
        return Summary(1, mean, _NAN, _NAN, _NAN, _NAN)
    deviation = float(values.std(ddof=1))
    error = corrected_error(deviation, count, train, test)
    return Summary(count, mean, deviation, error, *_t_interval(mean, error, count, alpha))


def corrected_error(deviation: float, count: int, train: float, test: float) -> float:
    """The deviation of the mean of runs whose training sets overlap (Nadeau & Bengio 2003)."""
    if train <= 0 or test <= 0:
        raise ValueError(f"train={train} and test={test} texts were given; both are expected to be above 0")
    return deviation * math.sqrt(1 / count + test / train)


def bootstrap_interval(
    scores: Scores,
    alpha: float = 0.05,
    method: Method = "bca",
    resamples: int = 9999,
    seed: int = 0,
) -> tuple[float, float]:
    """The interval of the mean by resampling: "percentile", or "bca", corrected for bias and skew (Efron 1987).

    NaN for one score; the value itself where all are equal. Of fewer than about ten scores both are too narrow, a t
    interval is not.
    """
    values = require_scores(scores)
    if len(values) == 1:
        return _NAN, _NAN
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    found = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=1 - alpha,
        method="BCa" if method == "bca" else "percentile",
        n_resamples=resamples,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def require_scores(scores: Scores) -> np.ndarray:
    """As float64; `ValueError` for none, and for NaN or infinity among them."""
    values = np.asarray(scores, np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError("no scores were given; those of one run or more are expected")
    if not np.isfinite(values).all():
        raise ValueError(f"the scores {values.tolist()} hold NaN or infinity: leave out runs that have no value")
    return values


def _t_interval(mean: float, error: float, count: int, alpha: float) -> tuple[float, float]:
    half = float(stats.t.ppf(1 - alpha / 2, count - 1)) * error
    return mean - half, mean + half
