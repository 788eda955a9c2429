"""Results as tables for the terminal; in a file or a pipe, rich prints them as plain text."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from lexigraft.data.text_data import TextData

HEADLINE = ("accuracy", "macro_f1", "macro_precision", "macro_recall", "roc_auc", "loss")
NAMES = {"macro_f1": "F1", "macro_precision": "precision", "macro_recall": "recall", "roc_auc": "ROC-AUC"}


def result_table(result: Mapping[str, Any]) -> Table:
    """The headline of `result["metrics"]`, a row per split; precision, recall and F1 are macro means."""
    table = _table("split", *(NAMES.get(key, key) for key in HEADLINE), "texts")
    for split, metrics in result["metrics"].items():
        table.add_row(split, *(_number(metrics[key]) for key in HEADLINE), f"{metrics['count']:,}")
    return table


def class_table(metrics: Mapping[str, Any]) -> Table:
    """Precision, recall, F1 and support of each class of one split, and their macro means."""
    table = _table("class", "precision", "recall", "F1", "texts")
    for name, of in metrics["per_class"].items():
        scores = (_number(of[key]) for key in ("precision", "recall", "f1"))
        table.add_row(Text(name), *scores, f"{of['support']:,}")
    table.add_section()
    means = (_number(metrics[f"macro_{key}"]) for key in ("precision", "recall", "f1"))
    table.add_row("macro mean", *means, f"{metrics['count']:,}")
    return table


def coverage_table(summary: Mapping[str, Any]) -> Table:
    """How a transplant's rows were made: a row per tier, by token and, if counted, by occurrence in train."""
    tokens, occurrences = summary["tokens_per_tier"], summary.get("occurrences_per_tier", {})
    counted = "occurrences_per_tier" in summary
    table = _table("rows made by", "tokens", "share", *(("occurrences", "share") if counted else ()))
    for tier, count in sorted(tokens.items(), key=lambda item: -item[1]):
        cells = [f"{count:,}", _share(count, sum(tokens.values()))]
        if counted:
            seen = occurrences.get(tier, 0)
            cells += [f"{seen:,}", _share(seen, sum(occurrences.values()))]
        table.add_row(tier, *cells)
    table.add_section()
    cells = ["", _percent(summary["coverage_of_types"])]
    if counted:
        cells += ["", _percent(summary["coverage_of_occurrences"])]
    table.add_row("covered by the source", *cells)
    return table


def data_text(data: TextData) -> str:
    """Sizes of the splits, and below them what was read, dropped and made on the way."""
    sizes = ", ".join(f"{name} {len(split):,}" for name, split in data.splits().items())
    steps = {key: value for key, value in data.report.items() if key != "splits"}
    lines = [f"{key.replace('_', ' ')}: {_counts(value)}" for key, value in steps.items() if _counts(value)]
    return "\n            ".join([f"data        {data.name}: {sizes}", *lines])


def source_text(origin: Mapping[str, Any]) -> str:
    """Shape of a matrix of that origin, and below it what its reader dropped or counted."""
    repairs = _counts(origin["repairs"])
    text = f"source      {origin['name']}: {origin['rows']:,} rows of width {origin['dim']}"
    return f"{text}\n            repairs: {repairs}" if repairs else text


def _counts(value: Any) -> str:
    """A count, a text, or counts by name, in a line without the zeros: `train rows 6,920, train empty text 2`."""
    if isinstance(value, Mapping):
        return ", ".join(_told(value))
    return f"{value:,}" if isinstance(value, int) and value else str(value or "")


def _told(counts: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in counts.items():
        name = f"{prefix}{key.replace('_', ' ')}"
        if isinstance(value, Mapping):
            yield from _told(value, f"{name} ")
        elif value:
            yield f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}"


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _share(part: int, whole: int) -> str:
    return _percent(part / whole if whole else None)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
