"""Files of tagged words: a word and its tag in each line, and a blank line after each text (CoNLL-2000 and later)."""

from collections.abc import Iterator, Sequence
from pathlib import Path

DOCUMENT = "-DOCSTART-"  # CoNLL-2003 begins a document with this word


def conll_records(path: Path, lines: Sequence[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Words and tags of each text. A line holds columns between tabs, or else between spaces: the first is the word,
    the last its tag. `ValueError` names the line that has one column only, or a word with a space in it."""
    words: list[str] = []
    tags: list[str] = []
    for number, line in enumerate([*lines, ""], start=1):
        line = line.strip("\r\n\t ")
        columns = line.split("\t") if "\t" in line else line.split()
        if not line or columns[0] == DOCUMENT:
            if words:
                yield words, tags
            words, tags = [], []
            continue
        if len(columns) < 2:
            raise ValueError(f"{path}, line {number}: {line!r} has no tag; a word, a space or tab, and its tag are "
                             "expected")  # fmt: skip
        word, tag = columns[0].strip(), columns[-1].strip()
        if " " in word or " " in tag:
            raise ValueError(f"{path}, line {number}: {word if ' ' in word else tag!r} holds a space; a word or tag "
                             "without spaces is expected")  # fmt: skip
        words.append(word)
        tags.append(tag)
