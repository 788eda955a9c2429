"""Two systems, each of several runs, by the tests that a study names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from lexigraft.runs.predictions import Predictions, paired
from lexigraft.statistics.aso import aso
from lexigraft.statistics.measures import LOWER_IS_BETTER, Paired, paired_measure
from lexigraft.statistics.paired import approximate_randomisation, mcnemar, paired_bootstrap
from lexigraft.statistics.result import TestResult
from lexigraft.statistics.seeds import welch, wilcoxon
from lexigraft.statistics.summary import require_scores

Name = Literal["paired_bootstrap", "approximate_randomisation", "mcnemar", "welch", "wilcoxon", "aso"]
ON_ITEMS = ("paired_bootstrap", "approximate_randomisation", "mcnemar")  # these need predictions


@dataclass(frozen=True)
class Runs:
    """The runs of one system: a score for each, by what tells them apart ("seed=0, data.fold=1"), and predictions.

    Runs of two systems with one name are a pair. `predictions` may be left out if no test of `ON_ITEMS` is asked for.
    """

    scores: Mapping[str, float]
    predictions: Mapping[str, Predictions] = field(default_factory=dict)


def compare(
    a: Runs,
    b: Runs,
    tests: Sequence[Name] = ("paired_bootstrap", "welch"),
    *,
    metric: str = "accuracy",
    alpha: float = 0.05,
    seed: int = 0,
    resamples: int = 10_000,
) -> list[TestResult]:
    """A result for each test, of `a` less `b`, in the order of `tests`; p values are not yet corrected (`corrected`).

    `metric` is the last part of its name in `result.json`, such as "macro_f1". A test that cannot be made, for want of
    runs or of predictions on the same items, or for a metric that has no sum over items, has no p and a note that
    says why. Where a lower value is better, only `aso` looks at it the other way round: it asks whether `a` is better.
    `ValueError` for no runs and for scores that are NaN.
    """
    x, y = (require_scores(list(runs.scores.values())) for runs in (a, b))
    difference = float(x.mean() - y.mean())
    found: dict[Name, Callable[[], TestResult]] = {
        "paired_bootstrap": lambda: paired_bootstrap(*sets(), resamples=resamples, alpha=alpha, seed=seed),
        "approximate_randomisation": lambda: approximate_randomisation(
            *sets(), resamples=resamples, alpha=alpha, seed=seed
        ),
        "mcnemar": lambda: _mcnemar(a, b, metric, alpha),
        "welch": lambda: welch(x, y, alpha),
        "wilcoxon": lambda: _wilcoxon(a, b, alpha),
        "aso": lambda: _aso(x, y, metric, alpha, seed),
    }
    made: list[Paired] = []

    def sets() -> list[Paired]:
        if not made:
            made.extend(_on_same_items(a, b, metric))
        return made

    results = []
    for name in tests:
        try:
            results.append(found[name]())
        except ValueError as error:
            note = f"{name} was not made: {error}."
            results.append(TestResult(name, difference, note=note))
    return results


def _on_same_items(a: Runs, b: Runs, metric: str) -> list[Paired]:
    """The runs of both systems on each set of items: one for all seeds on one split, one for each fold."""
    by_items: dict[tuple[str, ...], tuple[list[Predictions], list[Predictions]]] = {}
    for place, runs in enumerate((a, b)):
        _require_all(runs)
        for predictions in runs.predictions.values():
            by_items.setdefault(tuple(sorted(predictions.texts)), ([], []))[place].append(predictions)
    if alone := [len(items) for items, of in by_items.items() if not (of[0] and of[1])]:
        raise ValueError(
            f"there are items that only one of the systems was run on ({alone[0]} texts); runs on the same split, of "
            "the same folds, are needed"
        )
    return [paired_measure(*of, metric) for of in by_items.values()]


def _mcnemar(a: Runs, b: Runs, metric: str, alpha: float) -> TestResult:
    """An item is right if all of its classes, or all tags of the text, are."""
    for runs in (a, b):
        _require_all(runs)
    pairs = [paired(a.predictions[name], b.predictions[name]) for name in a.predictions if name in b.predictions]
    if not pairs:
        raise ValueError(_unpaired(a, b))
    result = mcnemar([_right(first) for first, _ in pairs], [_right(second) for _, second in pairs], alpha)
    if metric in ("accuracy", "exact_match") and pairs[0][0].kind != "tags":
        return result
    return result.with_note("McNemar's test is of texts right or wrong, whatever the metric.")


def _right(p: Predictions) -> np.ndarray:
    if p.kind == "number":
        raise ValueError("McNemar's test is of items right or wrong, which predicted numbers are not")
    if p.kind == "several":
        return (p.gold == p.predicted).all(-1)
    if p.lengths is None:
        return p.gold == p.predicted
    wrong = np.bincount(np.repeat(np.arange(len(p)), p.lengths), weights=p.gold != p.predicted, minlength=len(p))
    return wrong == 0


def _wilcoxon(a: Runs, b: Runs, alpha: float) -> TestResult:
    names = [name for name in a.scores if name in b.scores]
    if not names:
        raise ValueError(_unpaired(a, b))
    result = wilcoxon([a.scores[n] for n in names], [b.scores[n] for n in names], alpha)
    left_out = len(a.scores) + len(b.scores) - 2 * len(names)
    return result.with_note(f"{left_out} runs that have no partner were left out." if left_out else "")


def _aso(a: np.ndarray, b: np.ndarray, metric: str, alpha: float, seed: int) -> TestResult:
    if metric not in LOWER_IS_BETTER:
        return aso(a, b, alpha, seed=seed)
    result = aso(-a, -b, alpha, seed=seed)
    return replace(result, difference=-result.difference).with_note("Lower is better, and counts as greater here.")


def _require_all(runs: Runs) -> None:
    """Tests on some of the runs would be of other scores than those that the table shows."""
    if missing := [name for name in runs.scores if name not in runs.predictions]:
        raise ValueError(f"there are no predictions of {len(missing)} of {len(runs.scores)} runs ({missing[0]})")


def _unpaired(a: Runs, b: Runs) -> str:
    return f"no run of one system has a partner of the other: {', '.join(a.scores)} and {', '.join(b.scores)}"
