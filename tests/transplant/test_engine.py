import numpy as np
import pytest
import torch

from lexigraft.transplant.engine import Copy, Transplant
from lexigraft.transplant.statistics import mean, normal, zero
from lexigraft.transplant.subtokens import subtoken_mean
from tests.transplant.matrices import character_matrix, word_matrix, word_tokenizer

WORDS = ["<pad>", "<unk>", "good", "bad", "film"]


def tiers(provenance):
    return [provenance.tiers[t] for t in provenance.tier]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_copy_keeps_every_bit_of_every_row(dtype):
    source = word_matrix(WORDS, dtype=dtype)
    result = Copy()(source, word_tokenizer(WORDS), seed=0)
    assert result.matrix.rows.dtype == dtype
    assert torch.equal(result.matrix.rows, source.rows)
    assert tiers(result.provenance) == ["exact"] * 5


def test_copy_keeps_head_and_bias_and_drops_padded_rows():
    rows = torch.randn(5, 4)
    source = word_matrix(WORDS, output_rows=rows, output_bias=torch.arange(5.0))
    result = Copy()(source, word_tokenizer(WORDS[:4]), seed=0).matrix
    assert torch.equal(result.output_rows, rows[:4])
    assert torch.equal(result.output_bias, torch.arange(4.0))


def test_copy_refuses_other_vocabularies():
    with pytest.raises(ValueError, match="identical vocabularies.*5 tokens.*use tokenizer=source"):
        Copy()(word_matrix(WORDS), word_tokenizer(["<pad>", "<unk>", "other"]), seed=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_matched_rows_are_bit_exact_and_padding_is_zero(dtype):
    source = word_matrix(WORDS, dtype=dtype)
    target = word_tokenizer(["<pad>", "film", "new", "<unk>", "good"])
    result = Transplant(fill=[normal])(source, target, seed=3)
    rows = result.matrix.rows
    assert rows.dtype == dtype
    assert tiers(result.provenance) == ["padding", "exact", "normal", "role", "exact"]
    assert not rows[0].any()
    assert torch.equal(rows[1], source.rows[4])
    assert torch.equal(rows[3], source.rows[1])
    assert torch.equal(rows[4], source.rows[2])
    assert torch.isfinite(rows).all()
    assert rows[2].any()


def test_provenance_names_the_source_row_of_each_copied_row():
    result = Transplant(fill=[zero])(word_matrix(WORDS), word_tokenizer(["<pad>", "film", "new", "bad"]), seed=0)
    made = result.provenance.made_of
    assert made.start.tolist() == [0, 0, 1, 1, 2]
    assert made.source.tolist() == [4, 3]
    assert made.weight.tolist() == [1.0, 1.0]


def test_there_and_back_again_returns_the_overlap():
    source = word_matrix(WORDS)
    there = Transplant(fill=[normal])(source, word_tokenizer(["<pad>", "bad", "film", "zoo"]), seed=0).matrix
    back = Transplant(fill=[normal])(there, word_tokenizer(WORDS), seed=1).matrix
    assert torch.equal(back.rows[3:5], source.rows[3:5])


def test_the_seed_alone_decides_random_rows():
    source, target = word_matrix(WORDS), word_tokenizer(["<pad>", "a", "b", "c"])
    method = Transplant(fill=[normal])
    first = method(source, target, seed=1).matrix.rows
    torch.manual_seed(99)
    assert torch.equal(first, method(source, target, seed=1).matrix.rows)
    assert not torch.equal(first, method(source, target, seed=2).matrix.rows)


def test_without_matching_no_row_is_the_source_s():
    source = word_matrix(WORDS)
    result = Transplant(fill=[normal], match=False)(source, word_tokenizer(WORDS), seed=0)
    assert set(tiers(result.provenance)) == {"padding", "normal"}
    distances = torch.cdist(result.matrix.rows[1:], source.rows)
    assert distances.min() > 1e-3


def test_scale_multiplies_every_row():
    source, target = word_matrix(WORDS), word_tokenizer(["<pad>", "good", "new"])
    plain = Transplant(fill=[mean])(source, target, seed=0).matrix.rows
    scaled = Transplant(fill=[mean], scale=0.5)(source, target, seed=0).matrix.rows
    torch.testing.assert_close(scaled, plain * 0.5)


def test_steps_are_tried_in_order_and_serve_what_they_can():
    source = character_matrix("好坏电影")
    target = word_tokenizer(["<pad>", "好", "电影", "nice"])
    result = Transplant(fill=[subtoken_mean, zero])(source, target, seed=0)
    assert tiers(result.provenance) == ["padding", "surface", "subtokens", "zero"]
    torch.testing.assert_close(result.matrix.rows[2], source.rows[2:4].mean(0))


def test_a_token_that_no_step_serves_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="no step of transplant.fill could make a row for 1 tokens.*'nice'"):
        Transplant(fill=[subtoken_mean])(character_matrix("好"), word_tokenizer(["<pad>", "好", "nice"]), seed=0)


def test_rows_that_are_not_finite_are_an_error():
    with pytest.raises(ValueError, match="2 transplanted rows are not finite"):
        Transplant(fill=[zero], scale=float("inf"))(word_matrix(WORDS), word_tokenizer(["good", "bad"]), seed=0)


def test_an_untied_head_gets_output_rows_and_bias_by_the_same_sums():
    output, bias = torch.randn(4, 4), torch.tensor([0.1, 0.2, 0.3, 0.4])
    plain = character_matrix("好坏电影")
    source = type(plain)(plain.vocabulary, plain.rows, plain.origin, output_rows=output, output_bias=bias, tied=False)
    target = word_tokenizer(["<pad>", "好", "电影", "nice"])
    matrix = Transplant(fill=[subtoken_mean, normal])(source, target, seed=0).matrix
    assert torch.equal(matrix.output_rows[1], output[0])
    torch.testing.assert_close(matrix.output_rows[2], output[2:4].mean(0))
    torch.testing.assert_close(matrix.output_bias, torch.tensor([0.0, 0.1, 0.35, 0.25]))
    assert matrix.output_rows[3].any()


def test_pca_width_is_reached_before_rows_are_made():
    source = word_matrix(WORDS, dim=6)
    result = Transplant(fill=[normal], dim=3)(source, word_tokenizer(WORDS), seed=0)
    assert result.matrix.rows.shape == (5, 3)
    assert result.project_to is None


def test_a_learned_projection_is_left_to_the_model():
    source = word_matrix(WORDS, dim=6)
    result = Transplant(fill=[normal], dim=12, resize="linear")(source, word_tokenizer(WORDS), seed=0)
    assert result.matrix.dim == 6
    assert result.project_to == 12


def test_the_same_width_is_no_change_at_all():
    source = word_matrix(WORDS, dim=6)
    result = Transplant(fill=[normal], dim=6)(source, word_tokenizer(WORDS), seed=0)
    assert torch.equal(result.matrix.rows[2:], source.rows[2:])


def test_the_target_s_tokenizer_goes_with_the_matrix():
    target = word_tokenizer(["<pad>", "good"])
    matrix = Transplant(fill=[zero])(word_matrix(WORDS), target, seed=0).matrix
    assert matrix.tokenizer is target
    assert matrix.vocabulary is target.vocabulary
    assert np.isfinite(matrix.rows.numpy()).all()
