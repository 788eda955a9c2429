"""Lines of text files that people write by hand or get from other tools: fields between tabs, plain or gzipped."""

from collections.abc import Iterator
from pathlib import Path

from lexigraft.embeddings.opening import open_vectors


def read_columns(path: str | Path, what: str, spaces: bool = False) -> Iterator[tuple[int, list[str]]]:
    """The number of each line that is not empty, from 1, and its fields, stripped; `what` names the file in errors.

    `spaces` splits a line without a tab at white space. `ValueError` where the file is damaged or not UTF-8.
    """
    if Path(path).expanduser().is_dir():
        raise ValueError(f"{path} is a folder: {what} is expected")
    with open_vectors(path) as (file, tick):
        for number, raw in enumerate(iter(file.readline, b""), start=1):
            if number % 10_000 == 0:
                tick()
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip("\r\n")
            except UnicodeDecodeError as error:
                raise ValueError(f"line {number} of {path} is not UTF-8: {error}") from None
            if line.strip():
                yield number, [f.strip() for f in line.split("\t")] if "\t" in line or not spaces else line.split()
