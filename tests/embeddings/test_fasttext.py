"""fastText's .vec and .bin, the latter written by gensim."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lexigraft.embeddings.fasttext import read_fasttext

SENTENCES = [["the", "small", "town"], ["the", "smaller", "city"], ["中国", "的", "城市"], ["a", "town", "café"]] * 3


def train(**more: Any) -> Any:
    gensim = pytest.importorskip("gensim.models.fasttext")
    return gensim.FastText(SENTENCES, vector_size=8, min_count=1, bucket=500, epochs=1, workers=1, seed=1, **more)


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    gensim = pytest.importorskip("gensim.models.fasttext")
    model = train()
    path = tmp_path_factory.mktemp("fasttext") / "model.bin"
    gensim.save_facebook_model(model, str(path))
    return model.wv, path


def test_bin_words_and_unseen_words(model_file: tuple[Any, Path]) -> None:
    vectors, path = model_file
    matrix = read_fasttext(path)
    assert [t.surface.decode() for t in matrix.vocabulary] == vectors.index_to_key
    np.testing.assert_allclose(matrix.rows.numpy(), vectors.vectors, rtol=1e-6)
    assert matrix.compose is not None
    for word in ("towns", "城", "smallest town", "the"):
        composed = matrix.compose(word)
        assert composed is not None
        assert composed.dtype == torch.float32
        np.testing.assert_allclose(composed.numpy(), vectors.get_vector(word), rtol=1e-6)
    assert matrix.compose("") is None
    assert len(read_fasttext(path, limit=3).vocabulary) == 3


def test_without_ngrams_nothing_is_composed(tmp_path: Path) -> None:
    gensim = pytest.importorskip("gensim.models.fasttext")
    path = tmp_path / "model.bin"
    gensim.save_facebook_model(train(max_n=0), str(path))
    matrix = read_fasttext(path)
    assert matrix.compose is not None
    assert matrix.compose("towns") is None
    known = matrix.compose("town")
    assert known is not None
    assert torch.equal(known, matrix.rows[[t.surface for t in matrix.vocabulary].index(b"town")])


def test_vec(tmp_path: Path) -> None:
    path = tmp_path / "model.vec"
    path.write_text("3 2\n</s> 0.5 0.5 \nthe 1 2 \n中 3 4 \n", encoding="utf-8")
    matrix = read_fasttext(path)
    assert [t.role for t in matrix.vocabulary] == ["eos", None, None]
    assert matrix.rows.tolist() == [[0.5, 0.5], [1, 2], [3, 4]]
    assert matrix.compose is None
    assert matrix.origin["reader"] == "fasttext"


def test_damaged_and_unusable_files(tmp_path: Path, model_file: tuple[Any, Path]) -> None:
    cut = tmp_path / "cut.bin"
    cut.write_bytes(model_file[1].read_bytes())
    os.truncate(cut, cut.stat().st_size // 2)
    with pytest.raises(ValueError, match=r"cut.bin is not a whole fastText model") as caught:
        read_fasttext(cut)
    assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r"did you mean cut.bin\?"):
        read_fasttext(tmp_path / "cu.bin")
    with pytest.raises(ValueError, match=r"m.ftz is a quantised fastText model"):
        read_fasttext(tmp_path / "m.ftz")


def test_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"")
    monkeypatch.setitem(sys.modules, "gensim.models.fasttext", None)
    with pytest.raises(ImportError, match=r"pip install 'lexigraft\[vectors\]'"):
        read_fasttext(path)
