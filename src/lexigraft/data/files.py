"""Labelled texts from your own files: .tsv, .csv, .jsonl or, for tags, .conll, plain or gzipped."""

import csv
import difflib
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lexigraft.data.conll import conll_records
from lexigraft.data.labels import in_order, listed, names_in
from lexigraft.data.splits import Table, arrange, clean, split_of
from lexigraft.data.text_data import Split, TextData

SUFFIXES = (".tsv", ".csv", ".jsonl")
TAGGED = (".conll", ".bio", ".iob", ".txt")  # a word and its tag in a line, and nothing but tags


def load(
    *,
    train: str,
    name: str = "files",
    root: str | None = None,
    dev: str | None = None,
    test: str | None = None,
    text: str = "text",
    label: str = "label",
    second: str | None = None,
    language: str = "zh",
    classes: Sequence[str] | None = None,
    kind: str = "class",
    dev_share: float = 0.1,
    fold: int = 0,
    folds: int = 10,
    stratified: bool = False,
    split_seed: int | None = None,
    drop_shared: bool = True,
) -> TextData:
    """The data set of one to three files; see `splits.arrange` for what happens without dev or test.

    Paths are relative to `root`. `second` names the column of the second text of pairs, `kind` what the labels are.
    `FileNotFoundError` and `ValueError` name the file and what was expected of it.
    """
    paths = {"train": train, "dev": dev, "test": test}
    tables = {
        split: None if path is None else read_table(find(root, path), text, label, second, kind)
        for split, path in paths.items()
    }
    return arrange(
        name,
        language,
        tables,
        kind=kind,
        classes=classes,
        dev_share=dev_share,
        fold=fold,
        folds=folds,
        stratified=stratified,
        split_seed=split_seed,
        drop_shared=drop_shared,
    )


def read_labelled(
    path: Path,
    classes: Sequence[str],
    text: str = "text",
    label: str = "label",
    second: str | None = None,
    kind: str = "class",
) -> Split:
    """Texts for a trained model: every row needs a text and a label, of which classes are called by their names.

    Whole numbers are taken as class indices where they count from 0 and stay below the number of classes.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; a {', '.join(SUFFIXES)} file with a text and a label is expected")
    table = read_table(path, text, label, second, kind)
    incomplete = table.counts["empty_text"] + table.counts["missing_label"]
    if not table.counts["rows"]:
        raise ValueError(f"{path} has a header but no rows; rows with a text and a label are expected")
    if incomplete:
        raise ValueError(f"{path}: {incomplete} of {table.counts['rows']} rows lack a text or a label; all need both")
    if kind == "number":
        return split_of(table.rows, {}, kind)
    return split_of(table.rows, _known(path, names_in(row[1] for row in table.rows), classes), kind)


def _known(path: Path, seen: set[str], classes: Sequence[str]) -> Mapping[str, int]:
    """The class index of each label; `ValueError` for labels that are no class."""
    index = {name: i for i, name in enumerate(classes)}
    numbers = {str(i): i for i in range(len(classes))}
    if not seen <= set(index) and "0" in seen and seen <= set(numbers):
        index = numbers
    unknown = in_order(seen - set(index))
    if unknown:
        raise ValueError(
            f"{path}: {listed(unknown)} is no class of this model; its classes are {listed(list(classes))} (or their "
            f"numbers, from 0 to {len(classes) - 1})"
        )
    return index


def find(root: str | None, path: str, key: str = "data.root") -> Path:
    """The file `path` under `root`, called `key` where it is missing; without root, under the working folder."""
    found = Path(root or "").expanduser() / Path(path).expanduser()
    if not found.is_file():
        where = f"in {key} {root}" if root else f"here, and {key} is not set"
        raise FileNotFoundError(
            f"no data file {path} {where}: set {key}=FOLDER or the environment variable LEXIGRAFT_DATA to the "
            "folder that holds it"
        )
    return found


def read_table(path: Path, text: str, label: str, second: str | None = None, kind: str = "class") -> Table:
    """The rows of one file, of its columns `text`, `label` and, if named, `second`.

    .tsv: a line is a row and a tab ends a column, without quoting. .csv: quoted as spreadsheets do. .jsonl: an object
    per line. For tags also .conll, .bio, .iob and .txt: a word and its tag per line, a blank line after each text.
    All are UTF-8; broken bytes become U+FFFD and are counted, unless every tenth line has some.
    """
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    tagged = kind == "tags" and suffix in TAGGED
    if suffix not in SUFFIXES and not tagged:
        hint = "; files of words and tags are for task=tagging" if suffix in (".conll", ".bio", ".iob") else ""
        known = ", ".join(SUFFIXES + (TAGGED if kind == "tags" else ()))
        raise ValueError(f"{path}: unknown kind of file; {known} are expected, plain or with .gz{hint}")
    if second is not None and kind == "tags":
        raise ValueError(f"data.second={second} was given, but the texts of task=tagging are no pairs: set it to null")
    lines, broken = decoded_lines(path)
    if not any(line.strip() for line in lines):
        raise ValueError(f"{path} is empty; a header and rows are expected")
    if tagged:
        table = clean(conll_records(path, lines), str(path), kind)
    else:
        records = {".tsv": _tsv, ".csv": _csv, ".jsonl": _jsonl}[suffix](path, lines)
        table = clean(_columns(path, records, text, label, second, kind), str(path), kind)
    table.counts["broken_unicode"] += broken
    return table


def decoded_lines(path: Path) -> tuple[list[str], int]:
    """Lines without a byte order mark, and how many of them were not UTF-8."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is not a whole gzip file ({error}); copy or compress it again") from None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValueError(f"{path} is UTF-16; save it as UTF-8, e.g. iconv -f UTF-16 -t UTF-8")
    raw = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    lines, broken = [], 0
    for line in raw:
        try:
            lines.append(line.decode())
        except UnicodeDecodeError:
            lines.append(line.decode(errors="replace"))
            broken += 1
    if broken * 10 > len(raw):
        raise ValueError(
            f"{path} is not UTF-8: {broken} of {len(raw)} lines are broken; convert it, e.g. iconv -f GB18030 -t UTF-8"
        )
    return lines, broken


def _tsv(path: Path, lines: list[str]) -> Iterator[dict[str, Any]]:
    rows = (line.rstrip("\r").split("\t") for line in lines)
    return _with_header(path, ((n, row) for n, row in enumerate(rows, start=1) if row != [""]))


def _csv(path: Path, lines: list[str]) -> Iterator[dict[str, Any]]:
    def rows() -> Iterator[tuple[int, list[str]]]:
        csv.field_size_limit(2**31 - 1)  # the default stops at 131,072 characters
        reader = csv.reader((line + "\n" for line in lines), strict=True)
        try:
            yield from ((reader.line_num, row) for row in reader if row)
        except csv.Error as error:
            raise ValueError(f"{path}, line {reader.line_num}: not valid CSV ({error})") from None

    return _with_header(path, rows())


def _with_header(path: Path, rows: Iterator[tuple[int, list[str]]]) -> Iterator[dict[str, Any]]:
    header = [column.strip() for column in next(rows)[1]]
    for number, row in rows:
        if len(row) != len(header):
            raise ValueError(
                f"{path}, line {number}: {len(row)} columns, but the header has {len(header)} ({', '.join(header)})"
            )
        yield dict(zip(header, row))


def _jsonl(path: Path, lines: list[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number}: not valid JSON ({error})") from None
        if not isinstance(record, dict):
            raise ValueError(f"{path}, line {number}: a JSON object is expected, with the keys of text and label")
        yield record


def _columns(
    path: Path, records: Iterator[dict[str, Any]], text: str, label: str, second: str | None, kind: str
) -> Iterator[tuple[object, ...]]:
    """Text, label and second text of each record; the first record must have them, later ones may lack them (JSON
    lines). Files of tags may call their columns "tokens" and "tags"."""
    for number, record in enumerate(records):
        if number == 0:
            if kind == "tags" and {text, label}.isdisjoint(record) and {"tokens", "tags"} <= set(record):
                text, label = "tokens", "tags"
            wanted = {"text": text, "label": label} | ({"second": second} if second else {})
            require_columns(str(path), list(record), **wanted)
            columns = list(wanted.values())
        yield tuple(record.get(column) for column in columns)


def require_columns(where: str, columns: Sequence[str], **wanted: str) -> None:
    """`ValueError` naming the columns that are there, nearest first, if one that is wanted is not."""
    for role, column in wanted.items():
        if column not in columns:
            by_likeness = sorted(columns, key=lambda c: -difflib.SequenceMatcher(None, column, c).ratio())
            raise ValueError(
                f"{where} has no column {column!r} for the {role}; it has: {', '.join(by_likeness)} (in training, "
                f"data.{role}= names the column)"
            )
