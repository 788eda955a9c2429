"""Word vectors as text: a word and its numbers on each line (GloVe; with a first line of counts: word2vec)."""

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.embeddings.opening import open_vectors
from lexigraft.embeddings.static import static_matrix

_BLOCK = 8192  # lines whose rows are kept in one array while the number of lines is unknown
_SAMPLE = 200  # lines from which the dimension is read where no header tells it


def read_text_vectors(path: str | Path, limit: int | None = None) -> EmbeddingMatrix:
    """Vectors of a text file (.txt, .gz or .zip); a header of two counts is understood and checked.

    `limit` keeps the first so many lines. Words may contain spaces (GloVe 840B): the numbers are taken from the
    right. Lines end at a newline byte only. `ValueError` names the file and line that is malformed.
    """
    return text_matrix("text_vectors", path, limit)


def text_matrix(reader: str, path: str | Path, limit: int | None, needs_header: bool = False) -> EmbeddingMatrix:
    """What `read_text_vectors` returns, under another reader's name."""
    check_limit(limit)
    words: list[bytes] = []
    blocks: list[np.ndarray] = []
    with open_vectors(path) as (file, tick):
        # A word may be any bytes, but a line ends at b"\n" only: the file is never decoded as a whole.
        lines = enumerate(iter(file.readline, b""), start=1)
        sample = list(itertools.islice(lines, _SAMPLE))
        header = _header(path, [line for _, line in sample], needs_header)
        dim = header[1] if header else _dimension(path, [line for _, line in sample])
        rows = _rows(path, itertools.chain(sample[1:] if header else sample, lines), dim, header is not None)
        for word, row in itertools.islice(rows, limit):
            if len(words) % _BLOCK == 0:
                blocks.append(np.empty((_BLOCK, dim), dtype=np.float32))
                tick()
            blocks[-1][len(words) % _BLOCK] = row
            words.append(word)
    if header and len(words) != min(header[0], limit or header[0]):
        raise ValueError(
            f"{path}: the header in line 1 promises {header[0]} vectors but the file holds {len(words)}: "
            f"it is cut off or put together from others"
        )
    if not words:
        raise ValueError(f"{path} holds no vectors: a line with a word and its numbers is expected")
    blocks[-1] = blocks[-1][: (len(words) - 1) % _BLOCK + 1]
    return static_matrix(reader, path, words, np.concatenate(blocks))


def check_limit(limit: int | None) -> None:
    """`ValueError` unless `limit` is None or a positive number."""
    if limit is not None and limit < 1:
        raise ValueError(f"limit={limit}: a positive number of words is expected, or null for all of them")


def header_counts(line: bytes) -> tuple[int, int] | None:
    """(vectors, dimension) where the line is two whole numbers, as in the header of word2vec's formats."""
    fields = line.split()
    if len(fields) == 2 and all(f.isdigit() for f in fields):
        return int(fields[0]), int(fields[1])
    return None


def _header(path: str | Path, lines: list[bytes], needed: bool) -> tuple[int, int] | None:
    counts = header_counts(lines[0]) if lines else None
    if counts is not None and (needed or len(lines) == 1 or _dimension(path, lines[1:]) != 1):
        return counts
    if needed:
        raise ValueError(
            f"{path}: line 1 is not a header of two numbers (vectors, dimension); for a file without header take "
            f"source=glove_text"
        )
    return None


def _dimension(path: str | Path, lines: list[bytes]) -> int:
    """How many numbers most lines have: words with spaces and damaged lines are outvoted."""
    fields = Counter(len(line.split()) for line in lines if line.strip())
    if not fields:
        raise ValueError(f"{path} holds no vectors: a line with a word and its numbers is expected")
    most = max(fields.values())
    dim = min(n for n, count in fields.items() if count == most) - 1
    if dim < 1:
        raise ValueError(f"{path}: line 1 holds no numbers: a word and its vector are expected on each line")
    return dim


def _rows(
    path: str | Path, lines: Iterator[tuple[int, bytes]], dim: int, has_header: bool
) -> Iterator[tuple[bytes, np.ndarray]]:
    """(word, row `[D]`) of every line that is not blank."""
    for number, line in lines:
        line = line.rstrip(b"\r\n \t")
        if not line:
            continue
        word, *numbers = line.rsplit(b" ", dim)
        row = _row(numbers)
        # What goes on with a number after a space is no word with a space in it: the line has too many.
        too_long = b" " in word and _row(word.split(b" ")[-1:]) is not None
        if row is None or len(row) != dim or too_long:
            told = "the header says" if has_header else "most lines have"
            raise ValueError(
                f"{path}, line {number}: a word and {dim} numbers are expected, as {told}, but it reads "
                f"{line[:60].decode(errors='replace')!r}{'...' if len(line) > 60 else ''}"
            )
        yield word, row


def _row(numbers: list[bytes]) -> np.ndarray | None:
    """The numbers as float32, None where one of them is no number."""
    try:
        return np.array(numbers, dtype=np.float32)
    except ValueError:
        return None
