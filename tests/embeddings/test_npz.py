"""NumPy archives with a vocabulary beside them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lexigraft.embeddings.npz import read_npz

ROWS = np.arange(6, dtype=np.float32).reshape(3, 2) + 1


def save(folder: Path, words: Any = ("a", "中", "b c"), **arrays: np.ndarray) -> Path:
    np.savez(folder / "v.npz", **({"vectors": ROWS} | arrays))
    (folder / "vocab.json").write_text(json.dumps(words))
    (folder / "vocab.txt").write_text("".join(f"{w}\n" for w in words), encoding="utf-8")
    return folder


@pytest.mark.parametrize("vocabulary", ["vocab.json", "vocab.txt"])
def test_rows_and_words(tmp_path: Path, vocabulary: str) -> None:
    save(tmp_path)
    matrix = read_npz("v.npz", vocabulary, root=tmp_path)
    assert [t.surface.decode() for t in matrix.vocabulary] == ["a", "中", "b c"]
    assert matrix.rows.tolist() == ROWS.tolist()
    assert matrix.origin["path"] == "v.npz"
    assert matrix.origin["vocabulary"] == vocabulary
    assert read_npz(tmp_path / "v.npz", tmp_path / vocabulary).vocabulary == matrix.vocabulary


def test_a_text_vocabulary_ends_its_lines_at_newlines_only(tmp_path: Path) -> None:
    save(tmp_path)
    (tmp_path / "vocab.txt").write_bytes("\u2028\r\n\x0b\n\u3000".encode())
    matrix = read_npz("v.npz", "vocab.txt", root=tmp_path)
    assert [t.surface.decode() for t in matrix.vocabulary] == ["\u2028", "\x0b", "\u3000"]


def test_rows_that_are_not_real_are_dropped(tmp_path: Path) -> None:
    save(tmp_path, random_init=np.array([False, True, False]), other=ROWS * 2)
    matrix = read_npz("v.npz", "vocab.json", rows="other", not_real="random_init", root=tmp_path)
    assert matrix.rows.tolist() == (ROWS * 2)[[0, 2]].tolist()
    assert matrix.origin["repairs"]["not_real"] == 1


@pytest.mark.parametrize(
    ("arguments", "words", "message"),
    [
        ({}, ["a", "b"], r"array 'vectors' of v.npz has shape \(3, 2\), but vocab.json has 2 words"),
        ({"rows": "rows"}, ["a", "b", "c"], "v.npz cannot be read: it has no array 'rows', only vectors, flat"),
        ({"rows": "flat"}, ["a", "b", "c"], r"has shape \(3,\)"),
        ({"not_real": "flat"}, ["a", "b", "c"], "array 'flat' of v.npz .* one Boolean per row is expected"),
        ({}, {"a": 1}, "vocab.json holds dict: a list of words is expected"),
        ({}, [1, 2, 3], "a list of words is expected"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, arguments: dict[str, str], words: Any, message: str) -> None:
    save(tmp_path, words, flat=np.zeros(3))
    with pytest.raises(ValueError, match=message):
        read_npz("v.npz", "vocab.json", root=tmp_path, **arguments)


def test_damaged_files(tmp_path: Path) -> None:
    save(tmp_path)
    (tmp_path / "vocab.json").write_text("[")
    with pytest.raises(ValueError, match="vocab.json is no JSON"):
        read_npz("v.npz", "vocab.json", root=tmp_path)
    content = (tmp_path / "v.npz").read_bytes()
    for broken in (b"", content[:40], b"junk"):
        (tmp_path / "v.npz").write_bytes(broken)
        with pytest.raises(ValueError, match="v.npz cannot be read"):
            read_npz("v.npz", "vocab.txt", root=tmp_path)


def test_a_missing_file_tells_where_to_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"set data.root=... or the environment variable LEXIGRAFT_DATA"):
        read_npz("vec/v.npz", "vec/vocab.json")
    save(tmp_path)
    assert len(read_npz("v.npz", "vocab.json").vocabulary) == 3
    with pytest.raises(FileNotFoundError, match=r"did you mean v.npz\?"):
        read_npz("vv.npz", "vocab.json", root=tmp_path)


def test_the_folder_tells_one_vectors_npz_from_another(tmp_path: Path) -> None:
    (tmp_path / "glove").mkdir()
    save(tmp_path / "glove")
    assert read_npz("glove/v.npz", "glove/vocab.json", root=tmp_path).origin["name"] == "glove/v.npz"
    assert read_npz(tmp_path / "glove/v.npz", tmp_path / "glove/vocab.json").origin["name"] == "glove/v.npz"
