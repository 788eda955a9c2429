"""Rows into train, dev and test by content alone: no row order, seed or, unless stratified, other row moves a text."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lexigraft.data.folds import strata_of_numbers, stratified_folds, stratified_share
from lexigraft.data.labels import (
    Raw,
    in_order,
    listed,
    names_in,
    numbered,
    ranked,
    read_label,
    read_units,
    require_a_tag_each,
)
from lexigraft.data.tag_scheme import scheme_of
from lexigraft.data.text_data import Split, TextData

Row = tuple[str, Raw] | tuple[str, Raw, str]  # text, label and, of a pair, the second text
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Table:
    """Cleaned rows of one file or hub split, and counts of what was read, dropped and repaired on the way."""

    rows: list[Row]
    counts: dict[str, int]


def clean(records: Iterable[Sequence[object]], where: str, kind: str = "class") -> Table:
    """Rows of (text, label) or (text, label, second text), stripped of white space; see `labels` for the kinds.

    Rows without a text or a label are dropped, byte order marks removed, halves of surrogate pairs replaced by U+FFFD;
    all of it is counted. `where` names the place in the `ValueError` for values that are no text or no such label.
    """
    rows: list[Row] = []
    counts = dict.fromkeys(("rows", "empty_text", "missing_label", "broken_unicode", "byte_order_mark"), 0)
    counts["replacement_character"] = 0
    for number, (raw_text, raw_label, *others) in enumerate(records, start=1):
        counts["rows"] += 1
        here = f"{where}, row {number}"
        label = read_label(raw_label, kind, here)
        texts = [read_units(raw_text, here)] if kind == "tags" else [_text(raw, here) for raw in (raw_text, *others)]
        if any(LONE_SURROGATE.search(text) for text in texts):
            texts = [LONE_SURROGATE.sub("\ufffd", text) for text in texts]
            counts["broken_unicode"] += 1
        if any("\ufeff" in text for text in texts):
            texts = [_without_mark(text, kind) for text in texts]
            counts["byte_order_mark"] += 1
        if not all(texts):
            counts["empty_text"] += 1
        elif label is None:
            counts["missing_label"] += 1
        else:
            if kind == "tags":
                require_a_tag_each(texts[0], label, here)
            counts["replacement_character"] += any("\ufffd" in text for text in texts)
            rows.append((texts[0], label, *texts[1:]))  # type: ignore[arg-type]
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
    kind: str = "class",
    labels: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    dev_share: float = 0.1,
    fold: int = 0,
    folds: int = 10,
    stratified: bool = False,
    split_seed: int | None = None,
    drop_shared: bool = True,
) -> TextData:
    """The data set of the tables "train", "dev" and "test", where the last two may be None.

    Without test, it is fold `fold` of `folds` of train; without dev, it is a `dev_share` of what is left. Equal texts
    (of pairs: equal pairs) always fall on the same side. `drop_shared` drops train rows whose text also stands in a
    given dev or test. `stratified` gives every fold, and dev, the classes (or bins of the numbers) in the same shares;
    then other rows do have a say in where a text goes. Each `split_seed` cuts in another way.

    Class indices follow `labels`, by default train's labels in order (as numbers if all are whole); `classes` names
    them, and gives the order of ranks that are no numbers. `ValueError` if a split is empty, a label is unknown to
    train, or there are not as many classes as labels. Of the kinds "several" and "tags", where one row has many labels,
    a rare one may stand in dev or test alone: it is a class too, and counted in the report.
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
        cut = "fold" if split_seed is None else f"fold {split_seed}"
        if stratified:
            train, test = _divide(train, _in_fold(name, train, kind, cut, fold, folds).__contains__)
        else:
            train, test = _divide(train, lambda text: int(position(text, cut) * folds) == fold)
    in_test = set(map(_texts, test))
    kept = [row for row in train if not (drop_shared and _texts(row) in in_test)]
    dropped = {"train_rows_in_test": len(train) - len(kept), "train_rows_in_dev": 0}
    train = kept
    if dev is None:
        made["dev"] = f"{dev_share:g} of train"
        cut = "dev" if split_seed is None else f"dev {split_seed}"
        if stratified:
            train, dev = _divide(train, _in_share(name, train, kind, cut, dev_share).__contains__)
        else:
            train, dev = _divide(train, lambda text: position(text, cut) < dev_share)
    elif drop_shared:
        in_dev = set(map(_texts, dev))
        train = [row for row in train if _texts(row) not in in_dev]
        dropped["train_rows_in_dev"] = len(kept) - len(train)

    rows = {"train": train, "dev": dev, "test": test}
    _refuse_empty(name, rows, made)
    order, names = _classes(name, kind, rows, labels, classes)
    splits = {s: split_of(r, order, kind) for s, r in rows.items()}
    report = {
        "read": {split: table.counts for split, table in tables.items() if table is not None},
        "made": made,
        "dropped": dropped,
        "dev_rows_in_test": sum(_texts(row) in in_test for row in dev),
        "splits": count_classes(splits, names),
    }
    if kind == "tags":
        report["scheme"] = scheme_of(names) or "none, a class for each unit"
    if unseen := _not_in_train(rows, names) if kind in ("several", "tags") else {}:
        report["classes_not_in_train"] = unseen
    return TextData(name, splits["train"], splits["dev"], splits["test"], names, language, report, kind)


def split_of(rows: Sequence[Row], order: Mapping[str, int], kind: str) -> Split:
    """Rows as a split whose classes have those numbers."""
    pairs = bool(rows) and len(rows[0]) > 2
    return Split(
        [row[0] for row in rows],
        [numbered(row[1], order, kind) for row in rows],
        [row[2] for row in rows if len(row) > 2] if pairs else None,
    )


def count_classes(splits: Mapping[str, Split], classes: Sequence[str]) -> dict[str, Any]:
    """Per split: its rows, and per class name its rows or, where a row has several labels, its labels."""
    counted = {}
    for name, split in splits.items():
        per_class = Counter(i for label in split.labels for i in (label if isinstance(label, tuple) else (label,)))
        counted[name] = {"rows": len(split), "classes": {c: per_class[i] for i, c in enumerate(classes)}}
    return counted


def _text(value: object, where: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{where}: the text column holds {value!r}; a text is expected")
    return value.strip()


def _without_mark(text: str, kind: str) -> str:
    """A text without byte order marks; the one between two tagged words leaves no empty word behind."""
    text = text.replace("\ufeff", "")
    return " ".join(filter(None, text.split(" "))) if kind == "tags" else text.strip()


def _texts(row: Row) -> str:
    """All that is text in a row: the text itself, or both of a pair."""
    return row[0] if len(row) == 2 else f"{row[0]}\n{row[2]}"


def _divide(rows: list[Row], chosen: Callable[[str], bool]) -> tuple[list[Row], list[Row]]:
    """Rows whose text is not chosen, and those whose text is."""
    marks = [chosen(_texts(row)) for row in rows]
    return [r for r, m in zip(rows, marks) if not m], [r for r, m in zip(rows, marks) if m]


def _in_fold(name: str, rows: list[Row], kind: str, cut: str, fold: int, folds: int) -> set[str]:
    """The texts of one of the stratified folds."""
    texts = list(map(_texts, rows))
    folds_of = stratified_folds(texts, _strata(name, rows, kind), [position(text, cut) for text in texts], folds)
    return {text for text, of in zip(texts, folds_of) if of == fold}


def _in_share(name: str, rows: list[Row], kind: str, cut: str, share: float) -> set[str]:
    """The texts of a share of every stratum."""
    texts = list(map(_texts, rows))
    chosen = stratified_share(texts, _strata(name, rows, kind), [position(text, cut) for text in texts], share)
    return {text for text, is_chosen in zip(texts, chosen) if is_chosen}


def _strata(name: str, rows: list[Row], kind: str) -> list[Any]:
    """What each row counts as where splits are to be of the same mixture."""
    if kind in ("several", "tags"):
        raise ValueError(
            f"data {name}: data.stratified evens out classes of whole texts, but a text has many labels here: set "
            "data.stratified=false"
        )
    labels: list[Any] = [row[1] for row in rows]
    return strata_of_numbers(labels) if kind == "number" else labels


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
    name: str,
    kind: str,
    rows: Mapping[str, list[Row]],
    labels: Sequence[str] | None,
    classes: Sequence[str] | None,
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Label -> class index, and the classes' names."""
    if kind == "number":
        _check_numbers(name, [row[1] for row in rows["train"]], classes)
        return {}, ()
    many = kind in ("several", "tags")
    seen = names_in(row[1] for split in (rows if many else ("train",)) for row in rows[split])
    ranks: tuple[str, ...] | None = None
    if labels is None and kind == "order":
        labels, ranks = ranked(seen, classes, f"data {name}")
    elif labels is None:
        labels = in_order(seen)
    if len(labels) < 2:
        what = f"the one label {labels[0]!r}" if labels else "no label"
        raise ValueError(f"data {name}: train has {what}; two or more classes are expected")
    if classes is not None and len(classes) != len(labels):
        raise ValueError(
            f"data {name}: data.classes names {len(classes)} classes, but train has {len(labels)} labels: "
            f"{listed(labels)}"
        )
    if classes is not None and len(set(classes)) != len(classes):
        raise ValueError(f"data {name}: data.classes names a class twice: {listed(classes)}")
    for split in ("dev", "test"):
        unknown = sorted(names_in(row[1] for row in rows[split]) - seen)
        if unknown:
            raise ValueError(
                f"data {name}: {split} has labels that train lacks: {listed(unknown)}; train's are {listed(labels)}"
            )
    return {label: i for i, label in enumerate(labels)}, ranks or tuple(classes or labels)


def _check_numbers(name: str, numbers: Sequence[Raw], classes: Sequence[str] | None) -> None:
    if classes is not None:
        raise ValueError(f"data {name}: data.classes names classes, but the labels are numbers: set data.classes=null")
    if len(set(numbers)) < 2:
        raise ValueError(f"data {name}: every label of train is {numbers[0]}; two different numbers are expected")


def _not_in_train(rows: Mapping[str, list[Row]], classes: Sequence[str]) -> dict[str, int]:
    """How many classes have no row in train but one in dev or test."""
    seen = names_in(row[1] for row in rows["train"])
    counts = {split: len(names_in(row[1] for row in rows[split]) - seen) for split in ("dev", "test")}
    return {split: count for split, count in counts.items() if count}
