import numpy as np
import pytest
import torch

from lexigraft.transplant.cooccurrence import ppmi_vectors
from lexigraft.transplant.corpus import Corpus


def corpus_of(texts, size):
    ids = np.array([i for text in texts for i in text], np.int32)
    start = np.concatenate([[0], np.cumsum([len(t) for t in texts])]).astype(np.int64)
    return Corpus(ids, start, np.bincount(ids, minlength=size))


def oracle(texts, size, window):
    """The PPMI matrix, pair by pair."""
    counts = np.zeros((size, size))
    for text in texts:
        for i, one in enumerate(text):
            for j, other in enumerate(text):
                if i != j and abs(i - j) <= window:
                    counts[one, other] += 1 / abs(i - j)
    total = counts.sum()
    word, context = counts.sum(1) / total, counts.sum(1) ** 0.75 / (counts.sum(1) ** 0.75).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(np.maximum(np.log(counts / total / np.outer(word, context)), 0), nan=0, posinf=0)


def made_texts(size=12, seed=0):
    random = np.random.default_rng(seed)
    return [random.integers(0, size - 2, random.integers(2, 30)).tolist() for _ in range(40)]


def test_vectors_have_the_inner_products_of_the_ppmi_matrix_s_left_factor():
    texts = made_texts()
    vectors = ppmi_vectors(corpus_of(texts, 12), dim=12, window=4, min_count=1)
    left, values, _ = np.linalg.svd(oracle(texts, 12, 4))
    np.testing.assert_allclose(vectors @ vectors.T, left * values @ left.T, atol=1e-9)
    assert not vectors[10:].any()  # tokens that never occur


def test_blocks_and_threads_change_nothing(monkeypatch):
    corpus = corpus_of(made_texts(), 12)
    whole = ppmi_vectors(corpus, dim=5)
    monkeypatch.setattr("lexigraft.transplant.cooccurrence._POSITIONS_AT_A_TIME", 17)
    assert np.array_equal(whole, ppmi_vectors(corpus, dim=5))


def test_the_quick_svd_of_large_vocabularies_agrees_with_the_full_one(monkeypatch):
    corpus = corpus_of(made_texts(60), 60)
    full = ppmi_vectors(corpus, dim=20)
    monkeypatch.setattr("lexigraft.transplant.cooccurrence._DENSE", 0)
    state = torch.get_rng_state()
    quick = ppmi_vectors(corpus, dim=20)
    assert torch.equal(state, torch.get_rng_state())
    np.testing.assert_allclose(quick @ quick.T, full @ full.T, atol=0.02 * np.abs(full @ full.T).max())
    assert np.array_equal(quick, ppmi_vectors(corpus, dim=20))


@pytest.mark.parametrize("texts", [[], [[3]], [[1], [1], [1]]])
def test_tokens_without_company_have_no_vector(texts):
    assert not ppmi_vectors(corpus_of(texts, 4), dim=3, min_count=1).any()


def test_rare_tokens_have_no_vector():
    texts = [[0, 1, 0, 1, 2], [0, 1, 3, 1, 0]]
    assert ppmi_vectors(corpus_of(texts, 4), dim=4, min_count=4).any(1).tolist() == [True, True, False, False]
