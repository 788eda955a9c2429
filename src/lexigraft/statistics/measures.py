"""Metrics as functions of sums over items, so that they can be taken again of thousands of resampled test sets.

An item adds K numbers: right or wrong for accuracy, true positives and the like for F1. The metric is a function of
their sums. Items are texts; the tags of one text belong together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lexigraft.evaluation.entities import entities
from lexigraft.runs.predictions import Predictions, paired

Value = Callable[[np.ndarray], np.ndarray]  # sums [..., K] -> the metric [...]

LOWER_IS_BETTER = ("loss", "mae", "mse")


@dataclass(frozen=True)
class Paired:
    """Runs of two systems on the same items: what each item adds, `a` `[S, N, K]` and `b` `[T, N, K]`, and `value`."""

    a: np.ndarray
    b: np.ndarray
    value: Value

    def __post_init__(self) -> None:
        assert self.a.shape[1:] == self.b.shape[1:]

    def scores(self) -> tuple[np.ndarray, np.ndarray]:
        """The metric of each run, `[S]` and `[T]`."""
        return self.value(self.a.sum(1, dtype=np.float64)), self.value(self.b.sum(1, dtype=np.float64))


def paired_measure(a: Sequence[Predictions], b: Sequence[Predictions], metric: str) -> Paired:
    """What the runs of two systems add to a metric, which all are on the same texts (`ValueError` if not)."""
    first, *_ = a
    others = [paired(first, run)[1] for run in (*a, *b)]
    found = [contributions(run, metric) for run in others]
    return Paired(np.stack([of for of, _ in found[: len(a)]]), np.stack([of for of, _ in found[len(a) :]]), found[0][1])


def contributions(p: Predictions, metric: str) -> tuple[np.ndarray, Value]:
    """`[N, K]` and the metric's function of the sums; the names are those of the metrics in `result.json`.

    float32 where all are whole numbers, which keeps sums exact; else float64. `ValueError` for a metric that is no
    such function, as roc_auc.
    """
    known = {
        "class": {"accuracy": _accuracy, "macro_f1": _macro_f1, "loss": _loss, **_MACRO},
        "order": {"accuracy": _accuracy, "macro_f1": _macro_f1, "mae": _mae, **_MACRO},
        "several": {"exact_match": _exact_match, "macro_f1": _macro_f1, **_MICRO},
        "number": {"mae": _mae, "mse": _mse, "r2": _r2, "pearson": _pearson},
        "tags": {"accuracy": _accuracy, "macro_f1": _macro_f1, **_ENTITIES},
    }[p.kind]
    if metric not in known:
        raise ValueError(
            f"{metric} of kind {p.kind!r} cannot be resampled item by item; {', '.join(known)} can, or choose tests "
            "over seeds: welch, wilcoxon, aso"
        )
    return known[metric](p)


def _accuracy(p: Predictions) -> tuple[np.ndarray, Value]:
    right = p.gold == p.predicted
    return _by_text(np.stack([right, np.ones_like(right)], -1), p), _share


def _exact_match(p: Predictions) -> tuple[np.ndarray, Value]:
    right = (p.gold == p.predicted).all(-1)
    return np.stack([right, np.ones_like(right)], -1).astype(np.float32), _share


def _macro_f1(p: Predictions) -> tuple[np.ndarray, Value]:
    return _counts(p, given=True, wanted=True), lambda sums: _macro(sums, 2.0)


def _macro_precision(p: Predictions) -> tuple[np.ndarray, Value]:
    return _counts(p, given=True, wanted=False, there=True), lambda sums: _macro(sums, 1.0)


def _macro_recall(p: Predictions) -> tuple[np.ndarray, Value]:
    return _counts(p, given=False, wanted=True, there=True), lambda sums: _macro(sums, 1.0)


def _micro(p: Predictions, given: bool, wanted: bool) -> tuple[np.ndarray, Value]:
    right = (p.gold & p.predicted).sum(-1) * (given + wanted)
    return np.stack([right, given * p.predicted.sum(-1) + wanted * p.gold.sum(-1)], -1).astype(np.float32), _share


def _loss(p: Predictions) -> tuple[np.ndarray, Value]:
    assert p.scores is not None
    right = p.scores[np.arange(len(p.gold)), p.gold].astype(np.float64)
    # A probability that underflowed counts as the smallest normal float32, as in `evaluation.metrics`.
    lost = -np.log(np.maximum(right, np.finfo(np.float32).tiny))
    return np.stack([lost, np.ones_like(lost)], -1), _share


def _mae(p: Predictions) -> tuple[np.ndarray, Value]:
    wrong = np.abs(p.gold.astype(np.float64) - p.predicted)
    return np.stack([wrong, np.ones_like(wrong)], -1), _share


def _mse(p: Predictions) -> tuple[np.ndarray, Value]:
    wrong = (p.gold.astype(np.float64) - p.predicted) ** 2
    return np.stack([wrong, np.ones_like(wrong)], -1), _share


def _r2(p: Predictions) -> tuple[np.ndarray, Value]:
    gold = p.gold.astype(np.float64) - p.gold.mean(dtype=np.float64)
    wrong = (p.gold.astype(np.float64) - p.predicted) ** 2
    return np.stack([wrong, gold, gold**2, np.ones_like(gold)], -1), _explained


def _pearson(p: Predictions) -> tuple[np.ndarray, Value]:
    # About one number, the same for all runs, which changes nothing but keeps the squares from losing digits.
    x, y = (v.astype(np.float64) - p.gold.mean(dtype=np.float64) for v in (p.gold, p.predicted))
    return np.stack([x, y, x * x, y * y, x * y, np.ones_like(x)], -1), _correlation


def _entities(p: Predictions, given: bool, wanted: bool) -> tuple[np.ndarray, Value]:
    """Entities right, told and there, of each text (see `evaluation.entities`)."""
    assert p.lengths is not None
    names = np.array([*p.classes, None], object)  # NO_TAG takes the last
    ends = np.cumsum(p.lengths)[:-1]
    rows = []
    for true, said in zip(np.split(names[p.gold], ends), np.split(names[p.predicted], ends)):
        there, told = entities(true.tolist()), entities(said.tolist())
        rows.append((len(there & told) * (given + wanted), given * len(told) + wanted * len(there)))
    return np.array(rows, np.float32), _share


_MACRO = {"macro_precision": _macro_precision, "macro_recall": _macro_recall}
_MICRO = {
    "micro_f1": lambda p: _micro(p, True, True),
    "micro_precision": lambda p: _micro(p, True, False),
    "micro_recall": lambda p: _micro(p, False, True),
}
_ENTITIES = {
    "f1": lambda p: _entities(p, True, True),
    "precision": lambda p: _entities(p, True, False),
    "recall": lambda p: _entities(p, False, True),
}


def _counts(p: Predictions, given: bool, wanted: bool, there: bool = False) -> np.ndarray:
    """By class: true positives, then how often it was predicted and, or, is right; `there`: then both, to know it."""
    if p.kind == "several":
        gold, said = p.gold, p.predicted
    else:
        names = np.arange(len(p.classes))
        gold, said = p.gold[:, None] == names, p.predicted[:, None] == names
    columns = [gold & said, given * said.astype(np.int8) + wanted * gold]
    if there:
        columns.append(gold | said)
    return _by_text(np.concatenate(columns, -1), p)


def _by_text(rows: np.ndarray, p: Predictions) -> np.ndarray:
    """What units add, summed over each text."""
    rows = rows.astype(np.float32)
    if p.lengths is None:
        return rows
    sums = np.zeros((len(p), rows.shape[-1]), np.float32)
    np.add.at(sums, np.repeat(np.arange(len(p)), p.lengths), rows)
    return sums


def _share(sums: np.ndarray) -> np.ndarray:
    """The first over the last; 0 where there is nothing."""
    return _over(sums[..., 0], sums[..., -1])


def _macro(sums: np.ndarray, times: float) -> np.ndarray:
    """The mean over the classes that are there or predicted of a share of true positives."""
    classes = sums.shape[-1] // (2 if times == 2 else 3)
    right, whole, there = sums[..., :classes], sums[..., classes : 2 * classes], sums[..., -classes:] > 0
    return _over((times * _over(right, whole) * there).sum(-1), there.sum(-1))


def _explained(sums: np.ndarray) -> np.ndarray:
    wrong, gold, squares, count = np.moveaxis(sums, -1, 0)
    spread = squares - gold**2 / count
    return np.where(spread > 0, 1 - _over(wrong, spread), 0.0)


def _correlation(sums: np.ndarray) -> np.ndarray:
    x, y, xx, yy, xy, count = np.moveaxis(sums, -1, 0)
    spread = np.maximum(xx - x * x / count, 0) * np.maximum(yy - y * y / count, 0)
    return _over(xy - x * y / count, np.sqrt(spread))


def _over(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(np.broadcast_shapes(part.shape, whole.shape)), where=whole > 0)
