import dataclasses

import numpy as np
import pytest
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.transplant.focus import focus
from tests.transplant.gaps import make_gap
from tests.transplant.matrices import word_matrix, word_tokenizer

WORDS = ["<pad>", "<unk>", *"abcdefgh"]


def matrix_of(vocabulary, dim=6, dtype=torch.float32):
    rows = torch.randn(len(vocabulary), dim, generator=torch.Generator().manual_seed(1)).to(dtype)
    return EmbeddingMatrix(vocabulary, rows, {"name": "made in a test"})


def sparsemax_oracle(scores):
    """Martins & Astudillo 2016, algorithm 1, in float64."""
    z = np.sort(scores.astype(np.float64))[::-1]
    size = max(k for k in range(1, len(z) + 1) if 1 + k * z[k - 1] > z[:k].sum())
    return np.maximum(scores - (z[:size].sum() - 1) / size, 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_rows_agree_with_a_float64_oracle(dtype):
    source = word_matrix([*WORDS, "not", "shared"], dim=5, dtype=dtype)
    target = word_tokenizer([*WORDS, "x", "y", "z"])
    donor = word_matrix(["z", *"hgfedcba", "y", "x"], dim=3)
    gap = make_gap(source, target, spaces={"donor": donor})
    filled = focus(gap)
    assert (filled.tier, filled.done.tolist()) == ("focus", [True, True, True])
    unit = torch.nn.functional.normalize(donor.rows.double(), dim=1).numpy()
    names = ["z", *"hgfedcba", "y", "x"]
    for made, new in zip(filled.rows.apply(source.rows), "xyz"):
        weights = sparsemax_oracle(np.array([unit[names.index(new)] @ unit[names.index(c)] for c in "abcdefgh"]))
        expected = weights @ source.rows[2:10].double().numpy()
        tolerance = 1e-6 if dtype == torch.float32 else 1e-2
        torch.testing.assert_close(made.double(), torch.from_numpy(expected), rtol=tolerance, atol=tolerance)


def test_tokens_that_the_donor_lacks_or_has_as_zero_are_declined():
    source = word_matrix(WORDS)
    donor = word_matrix([*"abcdefgh", "x", "y"], dim=3)
    donor.rows[8] = 0
    donor.rows[0] = float("nan")
    donor.rows[1] = 1e30
    filled = focus(make_gap(source, word_tokenizer([*WORDS, "x", "y", "z"]), spaces={"donor": donor}))
    assert filled.done.tolist() == [False, True, False]
    assert not np.isin(filled.rows.source, [2, 3]).any()
    assert torch.isfinite(filled.rows.apply(source.rows)).all()
    assert filled.notes["tokens without a vector"] == 2


@pytest.mark.parametrize("family", ["wordpiece", "byte_bpe", "characters"])
def test_learned_spaces_serve_frequent_tokens_the_same_way_for_a_seed(family, request, corpus):
    target = request.getfixturevalue(family)
    gap = make_gap(matrix_of(target.vocabulary), target, texts=corpus * 10, hide=40)
    filled = focus(gap, dim=8, epochs=1)
    again = focus(dataclasses.replace(gap, generator=torch.Generator().manual_seed(0)), dim=8, epochs=1)
    counts = target.counts(target.encode(corpus * 10))[gap.ids]
    ordinary = np.array([token.role is None for token in gap.tokens])
    assert filled.done.any()
    assert np.array_equal(filled.done, (counts >= 10) & ordinary)
    assert np.array_equal(filled.rows.source, again.rows.source)
    assert np.array_equal(filled.rows.weight, again.rows.weight)
    np.testing.assert_allclose(np.add.reduceat(filled.rows.weight, filled.rows.start[:-1]), 1, atol=1e-5)
    assert np.isin(filled.rows.source, gap.shared_source).all()


def test_special_tokens_are_declined(wordpiece, corpus):
    source = matrix_of(wordpiece.vocabulary)
    gap = dataclasses.replace(
        make_gap(source, wordpiece, spaces={"donor": source}), ids=np.arange(len(wordpiece.vocabulary))
    )
    assert focus(gap).done.tolist() == [token.role is None for token in wordpiece.vocabulary]


def test_without_texts_or_donor_focus_says_what_it_needs():
    with pytest.raises(ValueError, match="FOCUS learns from texts of the target language, and there are none"):
        focus(make_gap(word_matrix(WORDS), word_tokenizer([*WORDS, "x"])))


def test_without_shared_tokens_focus_says_so():
    source, donor = word_matrix(["<pad>", "a"]), word_matrix(["x", "y"])
    with pytest.raises(ValueError, match="none of the 0 tokens that both vocabularies share has a vector"):
        focus(make_gap(source, word_tokenizer(["<pad>", "<unk>", "x"]), spaces={"donor": donor}))
