"""Results as tables for the terminal; in a file or a pipe, rich prints them as plain text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.table import Table
from rich.text import Text

from lexigraft.data.text_data import TextData

HEADLINE = ("accuracy", "macro_f1", "macro_precision", "macro_recall", "roc_auc", "loss")
# By a metric that only a task of that kind has.
HEADLINES = {
    "exact_match": ("micro_f1", "macro_f1", "exact_match", "average_precision", "roc_auc", "loss"),
    "mse": ("mse", "mae", "r2", "pearson", "spearman", "loss"),
    "quadratic_kappa": ("mae", "quadratic_kappa", "accuracy", "macro_f1", "loss"),
    "entities": ("f1", "precision", "recall", "accuracy", "loss"),
    "without_tag": ("accuracy", "macro_f1", "loss"),
}
NAMES = {
    "f1": "F1", "macro_f1": "F1", "micro_f1": "micro F1", "macro_precision": "precision", "macro_recall": "recall",
    "roc_auc": "ROC-AUC", "exact_match": "exact match", "average_precision": "mAP", "mse": "MSE", "mae": "MAE",
    "r2": "R2", "quadratic_kappa": "kappa",
}  # fmt: skip


def result_table(result: Mapping[str, Any]) -> Table:
    """The headline of `result["metrics"]`, a row per split.

    Precision, recall and F1 are macro means over classes, but of entities where texts are tagged; beside micro F1, the
    other is called macro F1.
    """
    headline = _headline(next(iter(result["metrics"].values())))
    names = NAMES | ({"macro_f1": "macro F1"} if "micro_f1" in headline else {})
    tagged = "without_tag" in next(iter(result["metrics"].values()))
    table = _table("split", *(names.get(key, key) for key in headline), "units" if tagged else "texts")
    for split, metrics in result["metrics"].items():
        table.add_row(split, *(_number(metrics[key]) for key in headline), f"{metrics['count']:,}")
    return table


def measures_table(metrics: Mapping[str, Mapping[str, float | None]]) -> Table:
    """Every measure of each split of a pretraining, a row per split."""
    names = list(dict.fromkeys(name for of in metrics.values() for name in of))
    table = _table("split", *(name.replace("_", " ") for name in names))
    for split, of in metrics.items():
        table.add_row(split, *(_number(of.get(name)) for name in names))
    return table


def corpus_text(report: Mapping[str, Mapping[str, Any]]) -> str:
    """Documents, tokens and rows of the splits of a pretraining."""
    lines = []
    for name, of in report.items():
        waste = f", padding {_percent(of['padding_share'])}" if "padding_share" in of else ""
        unknown = f", unknown {_percent(of['unknown_share'])}" if of["unknown_share"] else ""
        lines.append(
            f"{name} {of['documents']:,} documents, {of['tokens']:,} tokens in {of['rows']:,} rows{waste}{unknown}"
        )
    return "text        " + "\n            ".join(lines)


def lost_text(split: str, units: int) -> str:
    """What to tell of units that have no token."""
    return (
        f"{units:,} units of {split} have no token (cut by trainer.max_tokens, or nothing but signs that the tokenizer "
        "drops): in training they are left out, measured they are wrong"
    )


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
    """How a transplant's rows were made: a row per tier, by token and, if counted, by occurrence in train.

    The output rows of a head of its own have a column where they were made in another way.
    """
    parts = [("tokens", summary["tokens_per_tier"], summary["coverage_of_types"])]
    if "occurrences_per_tier" in summary:
        parts.append(("occurrences", summary["occurrences_per_tier"], summary["coverage_of_occurrences"]))
    if "output_tokens_per_tier" in summary:
        parts.append(("output rows", summary["output_tokens_per_tier"], summary["output_coverage_of_types"]))
    table = _table("rows made by", *(heading for name, _, _ in parts for heading in (name, "share")))
    tiers = dict.fromkeys(tier for _, counts, _ in parts for tier in counts)
    for tier in sorted(tiers, key=lambda tier: -parts[0][1].get(tier, 0)):
        cells = ((counts.get(tier, 0), sum(counts.values())) for _, counts, _ in parts)
        table.add_row(tier, *(cell for count, total in cells for cell in (f"{count:,}", _share(count, total))))
    table.add_section()
    table.add_row("covered by the source", *(cell for _, _, covered in parts for cell in ("", _percent(covered))))
    return table


def notes_text(summary: Mapping[str, Any]) -> str:
    """What the steps of a transplant tell of themselves, a line for each; empty where they tell nothing."""
    notes = summary.get("notes", {}).items()
    return "\n".join(f"{name:<12}{_counts(value)}" for name, value in notes if _counts(value))


def warning_text(warning: str) -> Text:
    """A warning that stands out on a terminal."""
    return Text.assemble(("warning: ", "bold yellow"), warning)


def norms_table(norms: Mapping[str, Mapping[str, float]]) -> Table:
    """The lengths of a transplant's rows: of the source's, and of each tier's, zero rows left out."""
    table = _table("norms of", "rows", "5 %", "median", "95 %")
    for name, of in norms.items():
        numbers = (f"{of[key]:.4g}" for key in ("low", "median", "high"))
        table.add_row("source" if name == "source" else Text(name), f"{of['rows']:,}", *numbers)
    return table


def neighbours_table(neighbours: Sequence[Mapping[str, Any]]) -> Table:
    """Sampled new tokens and the copied ones whose rows have the largest cosine."""
    counted = "occurrences" in neighbours[0]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("new token", overflow="fold")
    table.add_column("made by", no_wrap=True)
    if counted:
        table.add_column("seen", justify="right", no_wrap=True)
    table.add_column("nearest copied tokens, by cosine", overflow="fold")
    cells = [[f"{near['token']} {near['cosine']:.2f}" for near in each["nearest"]] for each in neighbours]
    widths = [max(cell_len(row[i]) for row in cells) for i in range(len(cells[0]))]
    for each, row in zip(neighbours, cells):
        nearest = "  ".join(set_cell_size(cell, width) for cell, width in zip(row, widths))
        table.add_row(
            Text(each["token"]), each["tier"], *([f"{each['occurrences']:,}"] if counted else []), Text(nearest)
        )
    return table


def findings(summary: Mapping[str, Any], diagnosis: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What else a diagnosis found, by name, the unremarkable too."""
    found = [(f"{what}rows", _state_of_rows(of)) for what, of in
             (("", summary), ("output ", summary.get("output_rows"))) if of]  # fmt: skip
    digits = diagnosis["digits"]
    found.append(("digits", ", ".join(f"{side}: {digits[side] or 'none'}" for side in ("source", "target"))))
    for name, of in diagnosis["outliers"].items():
        worst = [*of["longest"], *of["closest"]]
        counts = f"{of['long']:,} very long, {of['close']:,} close to all others, {of['not_finite']:,} not finite"
        found.append((f"outliers of {name}", f"{counts}{_named(worst)}"))
    untrained = diagnosis["untrained"]
    of_source = f"{untrained['tokens']:,} source tokens, {untrained['new_rows']:,} new rows made of them"
    found.append(("untrained", f"{of_source}{_named(untrained['worst'])}"))
    unreachable = diagnosis["unreachable"].items()
    found.append(
        ("unreachable", ", ".join(f"{side} {of['tokens']:,}{_named(of['examples'])}" for side, of in unreachable))
    )
    return found


def data_text(data: TextData) -> str:
    """Sizes of the splits, and below them what was read, dropped and made on the way."""
    sizes = ", ".join(f"{name} {len(split):,}" for name, split in data.splits().items())
    steps = {key: _counts(value) for key, value in data.report.items() if key not in ("splits", "leakage")}
    if found := data.report.get("leakage"):
        steps["leakage"] = leakage_text(found)
    lines = [f"{key.replace('_', ' ')}: {told}" for key, told in steps.items() if told]
    return "\n            ".join([f"data        {data.name}: {sizes}", *lines])


def leakage_text(found: Mapping[str, Any]) -> str:
    """One line of what `data.leakage` found."""
    parts = []
    for inner, outer in (("dev", "train"), ("test", "train"), ("test", "dev")):
        of = found[f"{inner}_in_{outer}"]
        if of["shared"] or of["near"]:
            share = 100 * (of["shared"] + of["near"]) / of["texts"]
            parts.append(
                f"{inner} in {outer} {of['shared']:,} of {of['texts']:,} texts and {of['near']:,} nearly "
                f"({share:.1f} %; {of['same_label'] + of['near_same_label']:,} with the same label)"
            )
    return "; ".join(parts) or "no text of a split stands or nearly stands in another"


def source_text(origin: Mapping[str, Any]) -> str:
    """Shape of a matrix of that origin, and below it what its reader fetched, dropped or counted."""
    lines = [f"source      {origin['name']}: {origin['rows']:,} rows of width {origin['dim']}"]
    if fetched := origin.get("fetched"):
        lines.append(f"fetched {_bytes(fetched['bytes'])} of {_bytes(fetched['of'])}")
    if repairs := _counts(origin["repairs"]):
        lines.append(f"repairs: {repairs}")
    return "\n            ".join(lines)


def _bytes(number: int) -> str:
    """In the largest decimal unit of which there is one: 93.8 MB."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= size:
            digits = 1 if number < 100 * size else 0
            return f"{number / size:,.{digits}f} {unit}"
    return f"{number} bytes"


def _state_of_rows(of: Mapping[str, Any]) -> str:
    equal = of["duplicate_rows"]
    return (
        f"{of['zero_rows']:,} zero, {of['not_finite_rows']:,} with NaN or infinity; equal to another: "
        f"{equal['copies_of_one_source_row']:,} copies of one source row, {equal['sums_of_the_same_rows']:,} sums of "
        f"the same rows, {equal['accidental']:,} by accident"
    )


def _named(found: Sequence[Any]) -> str:
    names = [each if isinstance(each, str) else each["token"] for each in found]
    return f" ({' '.join(names)})" if names else ""


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
            shown = f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else value
            yield f"{name} {shown}"


def _headline(metrics: Mapping[str, Any]) -> tuple[str, ...]:
    return next((columns for key, columns in HEADLINES.items() if key in metrics), HEADLINE)


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
