"""Dev and test beside a run, so that it can be evaluated anywhere; train is only remembered by its fingerprint."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lexigraft.data.text_data import Label, Split, TextData

SAVED = ("dev", "test")
SUMMARY = "data.json"
TRAIN_LABELS = "train_labels.json.gz"


def save_splits(data: TextData, folder: Path) -> None:
    """Write `dev.jsonl.gz` and `test.jsonl.gz` (text, label, the second text of pairs), train's labels alone, and
    `data.json`: name, classes, language, kind, report, fingerprints of all splits. Equal data gives equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in SAVED:
        split = data.splits()[name]
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in _rows(split))
        # mtime=0: the time of writing is no part of the data.
        (folder / f"{name}.jsonl.gz").write_bytes(gzip.compress("".join(lines).encode(), mtime=0))
    (folder / TRAIN_LABELS).write_bytes(gzip.compress(json.dumps(data.train.labels).encode(), mtime=0))
    summary = {
        "name": data.name,
        "classes": list(data.classes),
        "language": data.language,
        "kind": data.kind,
        "fingerprints": {name: split.fingerprint() for name, split in data.splits().items()},
        "report": data.report,
    }
    (folder / SUMMARY).write_text(json.dumps(summary, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def load_labels(folder: Path) -> tuple[tuple[str, ...], list[Label]]:
    """The classes, and the labels of the training texts: what a task is made of."""
    summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    train = json.loads(gzip.decompress((folder / TRAIN_LABELS).read_bytes()))
    return tuple(summary["classes"]), [tuple(label) if isinstance(label, list) else label for label in train]


def load_split(folder: Path, name: str) -> Split:
    """The split "dev" or "test" that `save_splits` wrote; `ValueError` if it is not the one whose fingerprint was
    written with it, `FileNotFoundError` if there is none."""
    if name not in SAVED:
        raise ValueError(f"no split {name!r} is kept in a run folder; dev and test are")
    file = folder / f"{name}.jsonl.gz"
    for needed in (file, folder / SUMMARY):
        if not needed.is_file():
            raise FileNotFoundError(f"no {needed.name} in {folder}: is this the data folder of a finished run?")
    expected = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))["fingerprints"][name]
    try:
        rows = [json.loads(line) for line in gzip.decompress(file.read_bytes()).decode().split("\n")[:-1]]
    except (EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{file} is damaged ({error}); copy the run folder again") from None
    split = Split(
        [row["text"] for row in rows],
        [tuple(row["label"]) if isinstance(row["label"], list) else row["label"] for row in rows],
        [row["second"] for row in rows] if rows and "second" in rows[0] else None,
    )
    if split.fingerprint() != expected:
        raise ValueError(
            f"{file} is not the {name} split that this run was evaluated on: its fingerprint is "
            f"{split.fingerprint()[:12]}, data.json says {expected[:12]}"
        )
    return split


def _rows(split: Split) -> Iterator[dict[str, Any]]:
    for i, (text, label) in enumerate(zip(split.texts, split.labels)):
        row = {"text": text, "label": label}
        yield row if split.second is None else row | {"second": split.second[i]}
