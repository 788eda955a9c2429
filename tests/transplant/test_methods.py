import dataclasses

import numpy as np
import pytest
import torch

from lexigraft.transplant.filling import Combination
from lexigraft.transplant.statistics import mean, normal, zero
from lexigraft.transplant.subtokens import subtoken_mean
from lexigraft.vocab.vocabulary import Token, Vocabulary
from tests.transplant.matrices import character_matrix, word_matrix

TOKENS = [Token(f"w{i}".encode(), True) for i in range(500)]


def generator():
    return torch.Generator().manual_seed(0)


def test_zero_rows_are_zero():
    source = word_matrix(["a", "b", "c"])
    assert not zero(source, TOKENS, generator()).make(source.rows).any()


def test_mean_rows_are_the_mean_in_the_source_s_dtype():
    source = word_matrix(["a", "b", "c"], dtype=torch.bfloat16)
    rows = mean(source, TOKENS, generator()).make(source.rows)
    assert rows.dtype == torch.bfloat16
    expected = source.rows.double().mean(0).to(torch.bfloat16)
    torch.testing.assert_close(rows, expected.expand(500, -1), rtol=1e-2, atol=1e-2)


def test_random_rows_have_norms_of_source_rows_and_no_direction():
    source = word_matrix([f"s{i}" for i in range(50)], dim=32)
    rows = normal(source, TOKENS, generator()).make(source.rows)
    norms, known = rows.norm(dim=1), source.rows.norm(dim=1)
    assert (norms[:, None] - known[None]).abs().min(1).values.max() < 1e-4
    assert rows.mean(0).norm() < 0.2 * norms.mean()
    assert len(torch.unique(rows, dim=0)) == 500


def test_random_rows_ignore_zero_source_rows():
    source = word_matrix(["a", "b", "c"])
    source.rows[0] = 0
    assert (normal(source, TOKENS, generator()).make(source.rows).norm(dim=1) > 0).all()


def test_random_rows_of_a_zero_matrix_are_an_error():
    source = word_matrix(["a", "b"])
    source.rows.zero_()
    with pytest.raises(ValueError, match="every source row is zero"):
        normal(source, TOKENS, generator()).make(source.rows)


def test_pieces_come_from_the_source_s_tokenizer():
    source = word_matrix(["re", "do", "x"])
    vocabulary = Vocabulary(source.vocabulary.tokens, segment=lambda t: [0, 1] if t.surface == b"redo" else [])
    source = dataclasses.replace(source, vocabulary=vocabulary)
    filled = subtoken_mean(source, [Token(b"redo", True), Token(b"zz", True)], generator())
    assert filled.done.tolist() == [True, False]
    torch.testing.assert_close(filled.make(source.rows), source.rows[:2].mean(0, keepdim=True))


def test_static_characters_spell_chinese_words_but_not_latin_ones():
    source = character_matrix("天气ab")
    tokens = [
        Token("天气".encode(), True),
        Token(b"ab", True),
        Token("天空".encode(), True),
        Token(b"\xff", None),
    ]
    assert subtoken_mean(source, tokens, generator()).done.tolist() == [True, False, False, False]


def test_special_tokens_are_never_spelled():
    filled = subtoken_mean(character_matrix("天气"), [Token("天气".encode(), None, "mask")], generator())
    assert filled.done.tolist() == [False]


def test_subword_vectors_serve_unseen_words():
    known = {"running": torch.ones(4)}
    source = dataclasses.replace(word_matrix(["run"]), compose=known.get)
    tokens = [
        Token(b"running", True),
        Token(b"zzz", True),
        Token(b"\xff", True),
        Token(b"running", True, "mask"),
    ]
    filled = subtoken_mean(source, tokens, generator())
    assert filled.tier == "subwords"
    assert filled.done.tolist() == [True, False, False, False]
    assert torch.equal(filled.make(source.rows), torch.ones(1, 4))


def test_subword_vectors_may_serve_nothing():
    source = dataclasses.replace(word_matrix(["run"]), compose=lambda _: None)
    assert not subtoken_mean(source, [Token(b"zzz", True)], generator()).done.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_sums_agree_with_a_float64_oracle(dtype):
    rows = torch.randn(40, 8, generator=generator()).to(dtype)
    random = np.random.default_rng(0)
    pieces = [random.integers(0, 40, random.integers(1, 6)).tolist() for _ in range(200)]
    oracle = torch.stack([rows[p].double().mean(0) for p in pieces])
    result = Combination.mean_of(pieces).apply(rows)
    assert result.dtype == dtype
    torch.testing.assert_close(
        result.double(),
        oracle,
        rtol=1e-5 if dtype == torch.float32 else 1e-2,
        atol=1e-6 if dtype == torch.float32 else 1e-2,
    )


def test_rows_without_a_token_count_for_nothing():
    source = word_matrix(["a", "b", "c"])
    vocabulary = Vocabulary((*source.vocabulary.tokens[:2], Token(b"", None, "unused")))
    source = dataclasses.replace(source, vocabulary=vocabulary)
    source.rows[2] = 1e6
    assert normal(source, TOKENS, generator()).make(source.rows).norm(dim=1).max() < 1e3
    torch.testing.assert_close(mean(source, TOKENS, generator()).make(source.rows)[0], source.rows[:2].mean(0))
