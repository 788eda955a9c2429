"""Text vectors: any word comes back, and every malformed line is named."""

import gzip
import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lexigraft.embeddings import opening
from lexigraft.embeddings.text_vectors import read_text_vectors

NUMBERS = st.floats(-1e6, 1e6, width=32)


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def parts(text: str) -> list[str]:
    return text.split(" ")


# Any word that such a file can hold: no newline, no space at its ends, and not "word 1".
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), min_size=1, max_size=8).filter(
    lambda w: w == w.strip(" \t\r") and not any(is_number(p) for p in parts(w)) and "" not in parts(w)
)


@st.composite
def vectors(draw: st.DrawFn) -> tuple[list[str], np.ndarray]:
    words = draw(st.lists(WORDS, min_size=1, max_size=20, unique=True))
    dim = draw(st.integers(2, 5))
    # Most words have no space, as in real files: the dimension is what most lines agree on.
    words += [f"w{i}" for i in range(len(words) + 1) if f"w{i}" not in words]
    flat = draw(st.lists(NUMBERS, min_size=len(words) * dim, max_size=len(words) * dim))
    return words, np.array(flat, dtype=np.float32).reshape(len(words), dim)


def as_text(words: list[str], rows: np.ndarray, header: bool, end: str = "\n") -> bytes:
    first = [f"{len(words)} {rows.shape[1]}"] if header else []
    lines = [f"{w} {' '.join(repr(float(x)) for x in row)}" for w, row in zip(words, rows)]
    return "".join(line + end for line in first + lines).encode()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(vectors(), st.booleans(), st.sampled_from(["\n", " \n", "\r\n"]), st.sampled_from([".txt", ".txt.gz", ".zip"]))
def test_round_trip(tmp_path: Path, pair: tuple[list[str], np.ndarray], header: bool, end: str, suffix: str) -> None:
    words, rows = pair
    path = tmp_path / f"vectors{suffix}"
    content = as_text(words, rows, header, end)
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("vectors.txt", content)
    else:
        path.write_bytes(gzip.compress(content) if suffix == ".txt.gz" else content)
    matrix = read_text_vectors(path)
    assert [t.surface.decode() for t in matrix.vocabulary] == words
    np.testing.assert_array_equal(matrix.rows.numpy(), rows)
    assert matrix.rows.dtype == torch.float32
    assert sum(matrix.origin["repairs"].values()) == int((rows == 0).all(axis=1).sum())


def write(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "v.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_words_with_spaces_and_odd_characters(tmp_path: Path) -> None:
    matrix = read_text_vectors(write(tmp_path, "the 1 2\n. . . 3 4\na\u00a0b 5 6\n\u2028 7 8\n\n中国 9 10"))
    assert [t.surface.decode() for t in matrix.vocabulary] == ["the", ". . .", "a\u00a0b", "\u2028", "中国"]
    assert matrix.rows.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]


def test_repairs_are_counted(tmp_path: Path) -> None:
    lines = [f"w{i} {i} 1" for i in range(200)]
    content = "\n".join([*lines, "w3 9 9", "zero 0 0", "bad nan 1", " 5 5", ""]).encode() + b"\xff\xfe 1 2\n"
    matrix = read_text_vectors(write(tmp_path, content))
    assert matrix.origin["repairs"] == {
        "not_utf8": 1,
        "empty": 1,
        "duplicates": 1,
        "not_finite": 1,
        "zero_rows": 1,
    }
    assert matrix.rows[3].tolist() == [3, 1]
    assert len(matrix.rows) == 201


def test_limit_keeps_the_first(tmp_path: Path) -> None:
    path = write(tmp_path, "3 2\na 1 2\nb 3 4\nc 5 6\n")
    assert [t.surface for t in read_text_vectors(path, limit=2).vocabulary] == [b"a", b"b"]
    assert len(read_text_vectors(path, limit=9).vocabulary) == 3
    with pytest.raises(ValueError, match="limit=0: a positive number"):
        read_text_vectors(path, limit=0)


def test_more_lines_than_a_block(tmp_path: Path) -> None:
    rows = np.arange(20_000, dtype=np.float32).reshape(-1, 2)
    path = write(tmp_path, as_text([f"w{i}" for i in range(10_000)], rows, header=False))
    np.testing.assert_array_equal(read_text_vectors(path).rows.numpy(), rows)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no vectors"),
        ("\n\n", "holds no vectors"),
        ("2 3\n", "promises 2 vectors but the file holds 0"),
        ("word\nother\n", "line 1 holds no numbers"),
        ("a 1 2\nb 1 2\nc 1\n", "v.txt, line 3: a word and 2 numbers are expected, as most lines have, .* 'c 1'"),
        ("a 1 2\nb 1 2 3\nc 1 2\n", "line 2: a word and 2 numbers are expected"),
        ("a 1 2\nb 1 x\nc 1 2\n", "line 2: a word and 2 numbers"),
        ("a 1 2\nb 1 0.5abc\nc 1 2\n", "line 2: a word and 2 numbers"),
        ("2 3\na 1 2 3\nb 1 2\n", "line 3: a word and 3 numbers are expected, as the header says"),
        ("3 2\na 1 2\nb 3 4\n", "the header in line 1 promises 3 vectors but the file holds 2"),
        ("1 2\na 1 2\nb 3 4\n", "the header in line 1 promises 1 vectors but the file holds 2"),
        ("a nan 2\nb 3 4\n", "has 1 of 2 rows with NaN or infinity .the first: 'a'"),
        (b"\xff 1 2\n\xfe 1 2\n", "holds no usable word"),
    ],
)
def test_malformed_text(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_text_vectors(write(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_damaged_archives(tmp_path: Path) -> None:
    cut = tmp_path / "v.txt.gz"
    cut.write_bytes(gzip.compress(b"".join(b"w%d 1 2\n" % i for i in range(1000)))[:-20])
    with pytest.raises(ValueError, match="v.txt.gz is damaged or cut off"):
        read_text_vectors(cut)
    no_gzip = tmp_path / "w.gz"
    no_gzip.write_bytes(b"a 1 2\n")
    with pytest.raises(ValueError, match="w.gz is damaged or cut off"):
        read_text_vectors(no_gzip)
    no_zip = tmp_path / "w.zip"
    no_zip.write_bytes(b"a 1 2\n")
    with pytest.raises(ValueError, match="w.zip is damaged or cut off"):
        read_text_vectors(no_zip)
    several = tmp_path / "glove.zip"
    with zipfile.ZipFile(several, "w") as archive:
        archive.writestr("50d.txt", "a 1 2\n")
        archive.writestr("100d.txt", "a 1 2\n")
    with pytest.raises(ValueError, match=r"glove.zip holds 2 files \(50d.txt, 100d.txt\): unpack it"):
        read_text_vectors(several)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    write(tmp_path, "a 1 2\n")
    with pytest.raises(FileNotFoundError, match=r"did you mean v.txt\?"):
        read_text_vectors(tmp_path / "w.txt")
    with pytest.raises(ValueError, match="is a folder: a file of word vectors is expected"):
        read_text_vectors(tmp_path)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("seconds", "shown"), [(-1.0, True), (1e9, False)])
def test_progress_is_shown_on_a_terminal_for_long_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, shown: bool
) -> None:
    monkeypatch.setattr(opening, "QUIET_SECONDS", seconds)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert len(read_text_vectors(write(tmp_path, "a 1 2\nb 3 4\n")).vocabulary) == 2
    assert ("reading v.txt" in terminal.getvalue()) == shown
