"""Methods without auxiliary data: statistics of the source, and the source's own pieces."""

import dataclasses

import numpy as np
import pytest
import torch

from lexigraft.transplant.filling import Combination, Filled, Gap, new_rows
from lexigraft.transplant.provenance import CARRY_NOTHING
from lexigraft.transplant.statistics import covariance, mean, normal, resize, uniform, unknown, zero
from lexigraft.transplant.subtokens import subtokens
from lexigraft.vocab.tokenizer import Tokenizer
from lexigraft.vocab.vocabulary import Token, Vocabulary
from tests.transplant.matrices import character_matrix, word_matrix, word_tokenizer

TOKENS = [Token(f"w{i}".encode(), True) for i in range(500)]


def generator():
    return torch.Generator().manual_seed(0)


def asking(source, tokens, seed=0) -> Gap:
    """A gap of all these tokens."""
    target = Tokenizer(word_tokenizer(["<unk>"]).backend, Vocabulary(tuple(tokens)))
    nothing = np.zeros(0, np.int64)
    ids = np.arange(len(tokens))
    return Gap(source, target, ids, nothing, nothing, (), {}, torch.Generator().manual_seed(seed))


def made(filled: Filled, rows: torch.Tensor, output=False) -> torch.Tensor:
    return new_rows(filled.rows if not output or filled.output is None else filled.output, rows)


def test_zero_rows_are_zero():
    source = word_matrix(["a", "b", "c"])
    assert not made(zero(asking(source, TOKENS)), source.rows).any()


def test_mean_rows_are_the_mean_in_the_source_s_dtype():
    source = word_matrix(["a", "b", "c"], dtype=torch.bfloat16)
    rows = made(mean(asking(source, TOKENS)), source.rows)
    assert rows.dtype == torch.bfloat16
    expected = source.rows.double().mean(0).to(torch.bfloat16)
    torch.testing.assert_close(rows, expected.expand(500, -1), rtol=1e-2, atol=1e-2)


def test_random_rows_have_norms_of_source_rows_and_no_direction():
    source = word_matrix([f"s{i}" for i in range(50)], dim=32)
    rows = made(normal(asking(source, TOKENS)), source.rows)
    norms, known = rows.norm(dim=1), source.rows.norm(dim=1)
    assert (norms[:, None] - known[None]).abs().min(1).values.max() < 1e-4
    assert rows.mean(0).norm() < 0.2 * norms.mean()
    assert len(torch.unique(rows, dim=0)) == 500


def test_uniform_rows_have_the_variance_of_the_source_s_coordinates():
    source = word_matrix([f"s{i}" for i in range(50)], dim=32)
    filled = uniform(asking(source, TOKENS))
    rows = made(filled, source.rows)
    reach = (3 * source.rows.var(correction=0)).sqrt()
    assert filled.tier in CARRY_NOTHING
    assert rows.var() == pytest.approx(source.rows.var().item(), rel=0.02)
    assert 0.99 * reach < rows.abs().max() <= reach
    assert rows.mean().abs() < 0.02 * reach
    assert len(torch.unique(rows, dim=0)) == 500


def test_random_rows_ignore_zero_source_rows():
    source = word_matrix(["a", "b", "c"])
    source.rows[0] = 0
    assert (made(normal(asking(source, TOKENS)), source.rows).norm(dim=1) > 0).all()


def test_random_rows_of_a_zero_matrix_are_an_error():
    source = word_matrix(["a", "b"])
    source.rows.zero_()
    with pytest.raises(ValueError, match="every source row is zero"):
        made(normal(asking(source, TOKENS)), source.rows)


def test_pieces_come_from_the_source_s_tokenizer():
    source = word_matrix(["re", "do", "x"])
    vocabulary = Vocabulary(source.vocabulary.tokens, segment=lambda t: [0, 1] if t.surface == b"redo" else [])
    source = dataclasses.replace(source, vocabulary=vocabulary)
    filled = subtokens(asking(source, [Token(b"redo", True), Token(b"zz", True)]))
    assert filled.done.tolist() == [True, False]
    torch.testing.assert_close(made(filled, source.rows), source.rows[:2].mean(0, keepdim=True))


def test_static_characters_spell_chinese_words_but_not_latin_ones():
    source = character_matrix("天气ab")
    tokens = [
        Token("天气".encode(), True),
        Token(b"ab", True),
        Token("天空".encode(), True),
        Token(b"\xff", None),
    ]
    assert subtokens(asking(source, tokens)).done.tolist() == [True, False, False, False]


def test_special_tokens_are_never_spelled():
    filled = subtokens(asking(character_matrix("天气"), [Token("天气".encode(), None, "mask")]))
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
    filled = subtokens(asking(source, tokens))
    assert filled.tier == "subwords"
    assert filled.done.tolist() == [True, False, False, False]
    assert torch.equal(made(filled, source.rows), torch.ones(1, 4))


def test_subword_vectors_may_serve_nothing():
    source = dataclasses.replace(word_matrix(["run"]), compose=lambda _: None)
    assert not subtokens(asking(source, [Token(b"zzz", True)])).done.any()


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
    assert made(normal(asking(source, TOKENS)), source.rows).norm(dim=1).max() < 1e3
    torch.testing.assert_close(made(mean(asking(source, TOKENS)), source.rows)[0], source.rows[:2].mean(0))


def spelled(pieces, words=8, seed=0):
    """A source whose tokenizer spells token `t` by `pieces[t]`, and the gap of those tokens."""
    source = word_matrix([f"s{i}" * (i + 1) for i in range(words)], dim=6)
    vocabulary = Vocabulary(source.vocabulary.tokens, segment=lambda t: pieces[t.surface.decode()])
    source = dataclasses.replace(source, vocabulary=vocabulary)
    return source, asking(source, [Token(t.encode(), True) for t in pieces], seed)


PIECES = {"one": [3], "two": [2, 5], "three": [1, 4, 6], "none": [], "long": list(range(8)) * 50}
LENGTHS = np.array([len(f"s{i}" * (i + 1)) for i in range(8)], np.float64)
FORMULAS = {
    "mean": lambda p: np.ones(len(p)),
    "length": lambda p: LENGTHS[p],
    "exponential": lambda p: np.exp(2.0 * (np.arange(len(p)) - len(p))),
    "last_exponential": lambda p: np.exp(-2.0 * np.arange(len(p))),
    "first": lambda p: np.eye(len(p))[0],
}


@pytest.mark.parametrize("weights", FORMULAS)
def test_weighted_pieces_agree_with_their_formula(weights):
    source, gap = spelled(PIECES)
    filled = subtokens(gap, weights)
    served = [np.array(p) for p in PIECES.values() if p]
    oracle = []
    for pieces in served:
        w = FORMULAS[weights](pieces)
        oracle.append((w / w.sum()) @ source.rows.double().numpy()[pieces])
    np.testing.assert_allclose(made(filled, source.rows).double().numpy(), np.array(oracle), rtol=1e-5, atol=1e-6)


def test_a_random_piece_is_one_of_the_pieces_and_the_seed_s_choice():
    pieces = {f"t{i}": [i % 8, (i + 1) % 8, (i + 2) % 8] for i in range(200)}
    _, gap = spelled(pieces)
    rows = subtokens(gap, "random").rows
    assert np.diff(rows.start).tolist() == [1] * 200
    assert all(rows.source[i] in p for i, p in enumerate(pieces.values()))
    assert {int(rows.source[i] - i) % 8 for i in range(200)} == {0, 1, 2}
    assert (subtokens(spelled(pieces)[1], "random").rows.source == rows.source).all()
    assert (subtokens(spelled(pieces, seed=1)[1], "random").rows.source != rows.source).any()


def test_output_rows_may_have_weights_of_their_own():
    _, gap = spelled(PIECES)
    filled = subtokens(gap, "mean", "first")
    assert filled.output.source.tolist() == [3, 2, 1, 0]
    assert subtokens(gap, "mean", "mean").output is None


def test_unknown_weights_are_an_error():
    with pytest.raises(ValueError, match="weights='median' of subtokens is unknown: choose mean, length"):
        subtokens(spelled(PIECES)[1], "median")


def test_nothing_to_spell_is_no_error():
    _, gap = spelled({"none": []})
    assert not subtokens(gap, "length").done.any()


def test_calibrated_rows_have_the_median_norm_of_their_script():
    latin, han = [f"w{i}" for i in range(30)], [chr(0x4E00 + i) for i in range(30)]
    source = word_matrix([*latin, *han], dim=16)
    source.rows[30:] *= 10
    pieces = {"ab": [0, 1], "天地": [31, 32], "12": [0, 40]}
    vocabulary = Vocabulary(source.vocabulary.tokens, segment=lambda t: pieces[t.surface.decode()])
    source = dataclasses.replace(source, vocabulary=vocabulary)
    filled = subtokens(
        asking(source, [Token(t.encode(), True) for t in pieces]), output_weights="length", calibrate=True
    )
    rows, norms = made(filled, source.rows), source.rows.norm(dim=1)
    expected = torch.stack([norms[:30].median(), norms[30:].median()])
    # torch's median is the lower one of two; NumPy's their mean.
    torch.testing.assert_close(rows.norm(dim=1)[:2], expected, rtol=0.1, atol=0)
    assert rows.norm(dim=1)[2] == pytest.approx(float(np.median(norms.numpy())), rel=1e-4)
    plain = made(subtokens(asking(source, [Token(b"ab", True)])), source.rows)
    torch.testing.assert_close(rows[:1] / rows[:1].norm(), plain / plain.norm())
    torch.testing.assert_close(made(filled, source.rows, output=True)[1], source.rows[[31, 32]].mean(0))


def test_covariance_rows_have_the_moments_of_the_source():
    source = word_matrix([f"s{i}" for i in range(400)], dim=5)
    source.rows[:] = source.rows @ torch.diag(torch.tensor([1.0, 2.0, 0.5, 3.0, 0.0])) + 7
    tokens = [Token(f"n{i}".encode(), True) for i in range(20000)]
    rows = made(covariance(asking(source, tokens)), source.rows).double()
    known = source.rows.double()
    torch.testing.assert_close(rows.mean(0), known.mean(0), atol=0.1, rtol=0)
    torch.testing.assert_close(torch.cov(rows.T), torch.cov(known.T, correction=0), atol=0.3, rtol=0.05)
    assert (rows[:, 4] - 7).abs().max() < 1e-5  # no variance, no spread: a singular Sigma is no special case


def test_covariance_refuses_a_negative_scale():
    with pytest.raises(ValueError, match="scale=-1 of the covariance should not be negative"):
        covariance(asking(word_matrix(["a"]), TOKENS), scale=-1)


def test_resized_rows_lie_around_the_mean_as_those_of_transformers_do():
    source = word_matrix([f"s{i}" for i in range(300)], dim=8)
    rows = made(resize(asking(source, TOKENS)), source.rows).double()
    known = source.rows.double()
    spread = (rows - known.mean(0)).std(0) / known.std(0)
    assert len(torch.unique(rows, dim=0)) == len(rows)
    # sqrt(1e-9) = 3.2e-5 of the spread; float32 steps around the mean are far below it.
    torch.testing.assert_close(spread, torch.full((8,), 3.16e-5, dtype=torch.float64), rtol=0.15, atol=0)


def test_rows_of_which_nothing_is_known_share_the_mean_where_a_head_reads_them():
    plain = word_matrix([f"s{i}" for i in range(100)], dim=8)
    headed = dataclasses.replace(plain, output_rows=plain.rows + 5)
    filled = unknown(asking(headed, TOKENS))
    assert filled.tier == "normal"
    assert made(filled, headed.rows).mean(0).abs().max() < 1
    assert (made(filled, headed.output_rows, output=True).mean(0) - 5).abs().max() < 1
    tied = dataclasses.replace(plain, rows=plain.rows + 5, tied=True)
    filled = unknown(asking(tied, TOKENS))
    assert filled.tier == "covariance"
    assert (made(filled, tied.rows).mean(0) - 5).abs().max() < 1
