"""word2vec's text and binary formats, against gensim as the writer."""

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lexigraft.embeddings import word2vec
from lexigraft.embeddings.word2vec import read_word2vec

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=" \n"), min_size=1, max_size=9)


def binary(words: list[bytes], rows: np.ndarray, count: int | None = None, newline: bytes = b"\n") -> bytes:
    header = f"{len(words) if count is None else count} {rows.shape[1]}\n".encode()
    return header + b"".join(w + b" " + r.astype("<f4").tobytes() + newline for w, r in zip(words, rows))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(WORDS, min_size=1, max_size=20, unique=True),
    st.integers(1, 5),
    st.integers(0, 2**32 - 1),
    st.sampled_from([b"\n", b""]),
    st.sampled_from([1, 7, 1 << 20]),
)
def test_binary_round_trip(
    tmp_path: Path, words: list[str], dim: int, seed: int, newline: bytes, read_bytes: int
) -> None:
    rows = np.random.default_rng(seed).standard_normal((len(words), dim)).astype(np.float32)
    path = tmp_path / "v.bin"
    path.write_bytes(binary([w.encode() for w in words], rows, newline=newline))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(word2vec, "_READ_BYTES", read_bytes)
        matrix = read_word2vec(path, binary=True)
    assert [t.surface.decode() for t in matrix.vocabulary] == words
    np.testing.assert_array_equal(matrix.rows.numpy(), rows)


@pytest.mark.parametrize("as_binary", [False, True])
@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("told", [False, True])
def test_files_that_gensim_writes(tmp_path: Path, as_binary: bool, suffix: str, told: bool) -> None:
    gensim = pytest.importorskip("gensim.models.keyedvectors")
    vectors = gensim.KeyedVectors(30)
    words = [f"w{i}" for i in range(50)] + ["中国", "é"]
    rows = np.random.default_rng(0).standard_normal((len(words), 30)).astype(np.float32)
    vectors.add_vectors(words, rows)
    path = tmp_path / f"vectors.w2v{suffix}"
    vectors.save_word2vec_format(str(path), binary=as_binary)
    matrix = read_word2vec(path, binary=as_binary if told else None)
    assert [t.surface.decode() for t in matrix.vocabulary] == words
    np.testing.assert_allclose(matrix.rows.numpy(), rows, rtol=1e-6)
    assert matrix.origin["reader"] == "word2vec"
    assert len(read_word2vec(path, limit=7).vocabulary) == 7


def test_repairs_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "v.bin"
    path.write_bytes(binary([b"a", b"b", b"a", b"\xff", b"zero"], np.array([[1], [2], [3], [4], [0]])))
    matrix = read_word2vec(path)
    assert matrix.rows.tolist() == [[1], [2], [0]]
    assert matrix.origin["repairs"] == {
        "not_utf8": 1, "empty": 0, "duplicates": 1, "not_finite": 0, "zero_rows": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "told", "message"),
    [
        (b"", None, "line 1 is not a header of two numbers"),
        (b"the 0.1 0.2\n", None, "for text without a header take source=glove_text"),
        (b"the 0.1 0.2\n", False, "take source=glove_text"),
        (b"0 0\n", True, "line 1 is not a header"),
        (binary([b"a", b"b"], np.eye(2), count=3), None, "is cut off: the header promises 3 vectors of 2 numbers"),
        (binary([b"a", b"b"], np.eye(2))[:-4], None, "the file ends in entry 2"),
        (binary([b"a", b"b"], np.eye(2), count=1), None, "goes on after the 1 vectors that its header promises"),
        (b"2 3\n" + b"x" * 30_000, True, "entry 1 has no end of word: this is no word2vec file"),
        (b"2 2\na 1 2\n", None, "promises 2 vectors but the file holds 1"),
    ],
)
def test_malformed_files(tmp_path: Path, content: bytes, told: bool | None, message: str) -> None:
    path = tmp_path / "v.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_word2vec(path, binary=told)


def test_cut_gzip(tmp_path: Path) -> None:
    path = tmp_path / "v.bin.gz"
    rows = np.random.default_rng(0).standard_normal((500, 20))
    path.write_bytes(gzip.compress(binary([b"w%d" % i for i in range(500)], rows))[:-500])
    with pytest.raises(ValueError, match="v.bin.gz is damaged or cut off"):
        read_word2vec(path)


def test_gensim_is_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gensim", None)
    path = tmp_path / "v.bin"
    path.write_bytes(binary([b"a", b"b"], np.eye(2)))
    assert len(read_word2vec(path).vocabulary) == 2
