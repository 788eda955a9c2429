"""Rows into train, dev and test by content alone: no row order, seed or other row moves a text to another side."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lexigraft.data.text_data import Split, TextData

Row = tuple[str, str]  # text, label
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Table:
    """Cleaned rows of one file or hub split, and counts of what was read, dropped and repaired on the way."""

    rows: list[Row]
    counts: dict[str, int]


def clean(pairs: Iterable[tuple[object, object]], where: str) -> Table:
    """Rows with a text and a label; both are stripped of white space.

    Rows without a text or a label are dropped, byte order marks removed, halves of surrogate pairs replaced by U+FFFD;
    all of it is counted. `where` names the place in the `ValueError` for values that are no text or no class.
    """
    rows: list[Row] = []
    counts = dict.fromkeys(("rows", "empty_text", "missing_label", "broken_unicode", "byte_order_mark"), 0)
    counts["replacement_character"] = 0
    for number, (raw_text, raw_label) in enumerate(pairs, start=1):
        counts["rows"] += 1
        text, label = _text(raw_text, f"{where}, row {number}"), _label(raw_label, f"{where}, row {number}")
        if LONE_SURROGATE.search(text):
            text = LONE_SURROGATE.sub("\ufffd", text)
            counts["broken_unicode"] += 1
        if "\ufeff" in text:
            text = text.replace("\ufeff", "").strip()
            counts["byte_order_mark"] += 1
        if not text:
            counts["empty_text"] += 1
        elif not label:
            counts["missing_label"] += 1
        else:
            counts["replacement_character"] += "\ufffd" in text
            rows.append((text, label))
    return Table(rows, counts)


def position(text: str, purpose: str) -> float:
    """A text's fixed place in [0, 1), from its SHA-256; places for different purposes are independent."""
    digest = hashlib.sha256(f"{purpose}\n{text}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48  # 48 bits: a float holds them exactly


def arrange(
    name: str,
    language: str,
    tables: Mapping[str, Table | None],
    *,
    labels: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    dev_share: float = 0.1,
    fold: int = 0,
    folds: int = 10,
    drop_shared: bool = True,
) -> TextData:
    """The data set of the tables "train", "dev" and "test", where the last two may be None.

    Without test, it is fold `fold` of `folds` of train; without dev, it is a `dev_share` of what is left. Equal texts
    always fall on the same side. `drop_shared` drops train rows whose text also stands in a given dev or test.
    Class indices follow `labels`, by default train's labels in order (as numbers if all are whole); `classes` names
    them. `ValueError` if a split is empty, a label is unknown to train, or there are not as many classes as labels.
    """
    if not 0 < dev_share < 1:
        raise ValueError(f"data.dev_share is {dev_share}; a share between 0 and 1 is expected, such as 0.1")
    if folds < 2 or not 0 <= fold < folds:
        raise ValueError(f"data.fold is {fold} of data.folds {folds}; a fold from 0 to folds - 1 is expected")

    train, dev, test = (None if t is None else t.rows for t in (tables[s] for s in ("train", "dev", "test")))
    assert train is not None
    made = {}
    if test is None:
        made["test"] = f"fold {fold} of {folds} of train"
        train, test = _divide(train, lambda text: int(position(text, "fold") * folds) == fold)
    in_test = {text for text, _ in test}
    kept = [row for row in train if not (drop_shared and row[0] in in_test)]
    dropped = {"train_rows_in_test": len(train) - len(kept), "train_rows_in_dev": 0}
    train = kept
    if dev is None:
        made["dev"] = f"{dev_share:g} of train"
        train, dev = _divide(train, lambda text: position(text, "dev") < dev_share)
    elif drop_shared:
        in_dev = {text for text, _ in dev}
        train = [row for row in train if row[0] not in in_dev]
        dropped["train_rows_in_dev"] = len(kept) - len(train)

    rows = {"train": train, "dev": dev, "test": test}
    _refuse_empty(name, rows, made)
    order, names = _classes(name, rows, labels, classes)
    splits = {s: Split([t for t, _ in r], [order[label] for _, label in r]) for s, r in rows.items()}
    report = {
        "read": {split: table.counts for split, table in tables.items() if table is not None},
        "made": made,
        "dropped": dropped,
        "dev_rows_in_test": sum(text in in_test for text, _ in dev),
        "splits": count_classes(splits, names),
    }
    return TextData(name, splits["train"], splits["dev"], splits["test"], names, language, report)


def count_classes(splits: Mapping[str, Split], classes: Sequence[str]) -> dict[str, Any]:
    """Per split: its rows, and its rows per class name."""
    counted = {}
    for name, split in splits.items():
        per_class = Counter(split.labels)
        counted[name] = {"rows": len(split), "classes": {c: per_class[i] for i, c in enumerate(classes)}}
    return counted


def listed(names: Sequence[str], most: int = 20) -> str:
    """Quoted names for a message, the first `most` of them."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(n) for n in names[:most]) + more


def _text(value: object, where: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{where}: the text column holds {value!r}; a text is expected")
    return value.strip()


def _label(value: object, where: str) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, str | int):
        raise ValueError(f"{where}: the label column holds {value!r}; one class name or number is expected")
    return str(value).strip()


def _divide(rows: list[Row], chosen: Callable[[str], bool]) -> tuple[list[Row], list[Row]]:
    """Rows whose text is not chosen, and those whose text is."""
    marks = [chosen(text) for text, _ in rows]
    return [r for r, m in zip(rows, marks) if not m], [r for r, m in zip(rows, marks) if m]


def _refuse_empty(name: str, rows: Mapping[str, list[Row]], made: Mapping[str, str]) -> None:
    sizes = ", ".join(f"{split} {len(r)}" for split, r in rows.items())
    for split, r in rows.items():
        if not r:
            why = f" ({made[split]})" if split in made else ""
            raise ValueError(
                f"data {name}: the {split} split{why} holds no labelled text (rows: {sizes}); give more rows, another "
                f"share or fold, or data.{split}= with labels"
            )


def _classes(
    name: str, rows: Mapping[str, list[Row]], labels: Sequence[str] | None, classes: Sequence[str] | None
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Label -> class index, and the classes' names."""
    seen = {label for _, label in rows["train"]}
    if labels is None:
        whole = all(re.fullmatch(r"[+-]?\d+", label) for label in seen)
        labels = sorted(seen, key=lambda label: (int(label), label)) if whole else sorted(seen)
    if len(labels) < 2:
        raise ValueError(f"data {name}: train has the one label {labels[0]!r}; two or more classes are expected")
    if classes is not None and len(classes) != len(labels):
        raise ValueError(
            f"data {name}: data.classes names {len(classes)} classes, but train has {len(labels)} labels: "
            f"{listed(labels)}"
        )
    if classes is not None and len(set(classes)) != len(classes):
        raise ValueError(f"data {name}: data.classes names a class twice: {listed(classes)}")
    for split in ("dev", "test"):
        unknown = sorted({label for _, label in rows[split]} - seen)
        if unknown:
            raise ValueError(
                f"data {name}: {split} has labels that train lacks: {listed(unknown)}; train's are {listed(labels)}"
            )
    return {label: i for i, label in enumerate(labels)}, tuple(classes or labels)
