"""What a program that shows runs has to do, and what it is told of a result."""

from collections.abc import Mapping
from typing import Any, Protocol


class Tracker(Protocol):
    """A program that shows runs."""

    def start(self, resumed: int | None) -> None:
        """Open the run; of one that goes on, `resumed` optimizer steps are done."""

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """A point of each curve."""

    def tell(self, result: Mapping[str, Any]) -> None:
        """What result.json says at the end."""

    def end(self, failed: bool) -> None:
        """Close the run."""


def final_numbers(result: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a result by name, such as `test/accuracy`, `best/epoch` and `seconds/train`."""
    found: dict[str, float] = {}
    groups = {"best": result.get("best"), "seconds": result.get("seconds"), "counts": result.get("counts")}
    for name, of in {**groups, **result.get("metrics", {})}.items():
        plain = {key: value for key, value in (of or {}).items() if isinstance(value, (int, float))}
        found |= {f"{name}/{key}": float(value) for key, value in plain.items() if not isinstance(value, bool)}
    return found


def class_rows(metrics: Mapping[str, Any]) -> list[list[Any]]:
    """Class, precision, recall, F1 and support of each class of a split; empty where a task has none."""
    per_class = metrics.get("per_class") or {}
    keys = ("precision", "recall", "f1", "support")
    return [[name, *(of.get(key) for key in keys)] for name, of in per_class.items()]


def confusion_rows(metrics: Mapping[str, Any], most: int = 10_000) -> list[list[Any]]:
    """Actual class, predicted class and how often, of each pair; of more than `most` pairs those that occur."""
    confusion, names = metrics.get("confusion") or [], list(metrics.get("per_class") or {})
    if len(names) != len(confusion):
        names = [str(i) for i in range(len(confusion))]
    rows = [[actual, said, int(n)] for actual, row in zip(names, confusion) for said, n in zip(names, row)]
    return rows if len(rows) <= most else [row for row in rows if row[2]]
