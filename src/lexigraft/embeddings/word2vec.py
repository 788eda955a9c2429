"""The two formats of word2vec (Mikolov et al., 2013): a header, then words and rows as text or as float32 bytes."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.embeddings.opening import open_vectors
from lexigraft.embeddings.static import static_matrix
from lexigraft.embeddings.text_vectors import check_limit, header_counts, text_matrix

_READ_BYTES = 1 << 20
_LONGEST_WORD = 10_000  # bytes; a longer one means that the file is no word2vec file


def read_word2vec(path: str | Path, binary: bool | None = None, limit: int | None = None) -> EmbeddingMatrix:
    """Vectors of a word2vec file, plain, .gz or .zip; `binary` None: told by the bytes after the header.

    `limit` keeps the first so many words. `ValueError` where the file is cut off or is none of word2vec's.
    """
    # Own code for the binary form: gensim's reader takes a file that goes on after the promised rows, drops repeated
    # words without counting them and gives up at the first word that is not UTF-8.
    check_limit(limit)
    if binary is None:
        binary = _is_binary(path)
    if not binary:
        return text_matrix("word2vec", path, limit, needs_header=True)
    with open_vectors(path) as (file, tick):
        words, rows = _read_binary(path, file, tick, limit)
    return static_matrix("word2vec", path, words, rows)


def _header(path: str | Path, file: BinaryIO) -> tuple[int, int]:
    line = file.readline(100)
    counts = header_counts(line)
    if counts is None or min(counts) < 1 or not line.endswith(b"\n"):
        raise ValueError(
            f"{path}: line 1 is not a header of two numbers (vectors, dimension), so this is no word2vec file; for "
            f"text without a header take source=glove_text"
        )
    return counts


def _is_binary(path: str | Path) -> bool:
    """Whether what follows the first word is something else than digits."""
    with open_vectors(path) as (file, _):
        _, dim = _header(path, file)
        start = file.read(_LONGEST_WORD)
    numbers = start.partition(b" ")[2][: 4 * dim].partition(b"\n")[0]
    return not numbers or bool(set(numbers) - set(b"0123456789+-.eEinfa \t\r"))


def _read_binary(
    path: str | Path, file: BinaryIO, tick: Callable[[], None], limit: int | None
) -> tuple[list[bytes], np.ndarray]:
    """Words, and rows `[V, D]`: each word ends at a space, D little-endian float32 follow, and mostly a newline."""
    count, dim = _header(path, file)
    wanted = min(count, limit or count)
    words: list[bytes] = []
    blocks: list[np.ndarray] = []
    width = 4 * dim
    data = b""
    at = 0  # where in `data` the next word begins
    while len(words) < wanted:
        end = data.find(b" ", at)
        if end < 0 or end + 1 + width > len(data):
            if len(data) - at > _LONGEST_WORD + width:
                raise ValueError(f"{path}: entry {len(words) + 1} has no end of word: this is no word2vec file")
            more = file.read(_READ_BYTES)
            if not more:
                raise ValueError(
                    f"{path} is cut off: the header promises {count} vectors of {dim} numbers, but the file ends in "
                    f"entry {len(words) + 1}"
                )
            data, at = data[at:] + more, 0
            tick()
            continue
        if len(words) % 8192 == 0:
            blocks.append(np.empty((min(8192, wanted - len(words)), dim), dtype=np.float32))
        blocks[-1][len(words) % 8192] = np.frombuffer(data, "<f4", count=dim, offset=end + 1)
        words.append(data[at:end].lstrip(b"\n"))
        at = end + 1 + width
    if wanted == count and (data[at:] + file.read(100)).strip():
        raise ValueError(
            f"{path} goes on after the {count} vectors that its header promises: it is damaged or of another format"
        )
    return words, np.concatenate(blocks)
