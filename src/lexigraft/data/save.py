"""Dev and test beside a run, so that it can be evaluated anywhere; train is only remembered by its fingerprint."""

import gzip
import json
import zlib
from pathlib import Path

from lexigraft.data.text_data import Split, TextData

SAVED = ("dev", "test")
SUMMARY = "data.json"


def save_splits(data: TextData, folder: Path) -> None:
    """Write `dev.jsonl.gz` and `test.jsonl.gz` (text, class index), and `data.json`: name, classes, language, report
    and the fingerprints of all three splits. Equal data gives equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in SAVED:
        split = data.splits()[name]
        lines = (
            json.dumps({"text": text, "label": label}, ensure_ascii=False) + "\n"
            for text, label in zip(split.texts, split.labels)
        )
        # mtime=0: the time of writing is no part of the data.
        (folder / f"{name}.jsonl.gz").write_bytes(gzip.compress("".join(lines).encode(), mtime=0))
    summary = {
        "name": data.name,
        "classes": list(data.classes),
        "language": data.language,
        "fingerprints": {name: split.fingerprint() for name, split in data.splits().items()},
        "report": data.report,
    }
    (folder / SUMMARY).write_text(json.dumps(summary, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


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
    split = Split([row["text"] for row in rows], [row["label"] for row in rows])
    if split.fingerprint() != expected:
        raise ValueError(
            f"{file} is not the {name} split that this run was evaluated on: its fingerprint is "
            f"{split.fingerprint()[:12]}, data.json says {expected[:12]}"
        )
    return split
