import dataclasses

import numpy as np
import pytest
import torch

from lexigraft.transplant.engine import Copy, Shuffled, Transplant
from lexigraft.transplant.statistics import mean, normal, zero
from lexigraft.transplant.subtokens import subtokens
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
def test_matched_rows_are_bit_exact_and_a_padding_row_that_the_source_lacks_is_zero(dtype):
    source = word_matrix(["unpadded", *WORDS[1:]], dtype=dtype)
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
    assert made.start.tolist() == [0, 1, 2, 2, 3]
    assert made.source.tolist() == [0, 4, 3]
    assert made.weight.tolist() == [1.0, 1.0, 1.0]


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
    result = Transplant(fill=[subtokens, zero])(source, target, seed=0)
    assert tiers(result.provenance) == ["padding", "surface", "subtokens", "zero"]
    torch.testing.assert_close(result.matrix.rows[2], source.rows[2:4].mean(0))


def test_a_token_that_no_step_serves_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="no step of transplant.fill could make a row for 1 tokens.*'nice'"):
        Transplant(fill=[subtokens])(character_matrix("好"), word_tokenizer(["<pad>", "好", "nice"]), seed=0)


def test_rows_that_are_not_finite_are_an_error():
    with pytest.raises(ValueError, match="2 transplanted rows are not finite"):
        Transplant(fill=[zero], scale=float("inf"))(word_matrix(WORDS), word_tokenizer(["good", "bad"]), seed=0)


def test_an_untied_head_gets_output_rows_and_bias_by_the_same_sums():
    output, bias = torch.randn(4, 4), torch.tensor([0.1, 0.2, 0.3, 0.4])
    plain = character_matrix("好坏电影")
    source = type(plain)(plain.vocabulary, plain.rows, plain.origin, output_rows=output, output_bias=bias, tied=False)
    target = word_tokenizer(["<pad>", "好", "电影", "nice"])
    matrix = Transplant(fill=[subtokens, normal])(source, target, seed=0).matrix
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


def untied(plain, seed=5):
    """The matrix with output rows and bias of its own."""
    random = torch.Generator().manual_seed(seed)
    return dataclasses.replace(
        plain,
        output_rows=torch.randn(plain.rows.shape, generator=random),
        output_bias=torch.randn(len(plain.rows), generator=random),
    )


def test_the_identity_is_bit_exact_in_every_part_also_for_padding_and_special_tokens():
    source = untied(word_matrix(WORDS))
    matrix = Transplant(fill=[normal])(source, word_tokenizer(WORDS), seed=0).matrix
    assert torch.equal(matrix.rows, source.rows)
    assert torch.equal(matrix.output_rows, source.output_rows)
    assert torch.equal(matrix.output_bias, source.output_bias)


def test_output_rows_may_be_made_by_steps_of_their_own():
    source, target = untied(character_matrix("好坏电影")), word_tokenizer(["<pad>", "电影", "nice"])
    made = Transplant(fill=[subtokens, mean], output=[zero])(source, target, seed=0)
    assert not made.matrix.output_rows.any()
    assert made.matrix.rows[1:].any(1).all()
    assert tiers(made.provenance) == ["padding", "subtokens", "mean"]
    assert tiers(made.provenance.output) == ["padding", "zero", "zero"]


def test_steps_for_output_rows_that_a_tied_head_does_not_have_are_told_of():
    made = Transplant(fill=[mean], output=[zero])(word_matrix(WORDS), word_tokenizer(["x"]), seed=0)
    assert made.matrix.output_rows is None
    assert "no output rows apart" in made.notes["output"]


@pytest.mark.parametrize(("policy", "expected"), [("combine", 0.35), ("mean", 0.25), ("zero", 0.0)])
def test_the_bias_of_new_tokens_follows_its_policy(policy, expected):
    source = dataclasses.replace(character_matrix("好坏电影"), output_bias=torch.tensor([0.1, 0.2, 0.3, 0.4]))
    target = word_tokenizer(["好", "电影"])
    bias = Transplant(fill=[subtokens], bias=policy)(source, target, seed=0).matrix.output_bias
    torch.testing.assert_close(bias, torch.tensor([0.1, expected]))


def test_a_pair_is_two_tokens():
    source, target = word_matrix(WORDS), word_tokenizer(["new"])
    with pytest.raises(ValueError, match="two tokens are expected in each pair, the target's and the source's"):
        Transplant(fill=[mean], pairs=[["[UNK]"]])(source, target, seed=0)
    with pytest.raises(ValueError, match="the target has no special token '<nix>' to pair"):
        Transplant(fill=[mean], pairs=[["<nix>", "[UNK]"]])(source, target, seed=0)


def test_special_tokens_alone_may_be_copied():
    source = word_matrix(WORDS)
    made = Transplant(fill=[normal], match="roles")(source, word_tokenizer(WORDS), seed=0)
    assert tiers(made.provenance) == ["role", "role", "normal", "normal", "normal"]


def test_steps_are_given_the_overlap_the_texts_and_the_further_matrices():
    seen = []

    def step(gap):
        seen.append(gap)
        return normal(gap)

    donor = word_matrix(["x"])
    target = word_tokenizer(["<pad>", "film", "new", "bad"])
    Transplant(fill=[step], spaces={"donor": donor})(word_matrix(WORDS), target, seed=0, texts=["a text"])
    [gap] = seen
    assert gap.ids.tolist() == [2]
    assert [t.surface for t in gap.tokens] == [b"new"]
    assert gap.shared_source.tolist() == [4, 3]
    assert gap.shared_target.tolist() == [1, 3]
    assert gap.space("donor") is donor
    assert gap.need_texts("it") == ["a text"]


def test_a_step_that_lacks_its_matrix_or_its_texts_says_how_to_give_them():
    def of_donor(gap):
        return gap.space("donor")

    def of_texts(gap):
        return gap.need_texts("focus")

    source, target = word_matrix(WORDS), word_tokenizer(["new"])
    with pytest.raises(ValueError, match="needs a further matrix 'donor': give one as .*spaces.donor=hf"):
        Transplant(fill=[of_donor])(source, target, seed=0)
    with pytest.raises(ValueError, match="focus learns from texts .* data=text data.path"):
        Transplant(fill=[of_texts])(source, target, seed=0)


def test_shuffled_rows_are_those_of_the_other_transplant_in_another_order():
    source = untied(word_matrix([*WORDS, *(f"w{i}" for i in range(50))]))
    target = word_tokenizer([*WORDS, *(f"w{i}" for i in range(50))])
    plain = Transplant(fill=[normal])(source, target, seed=0).matrix
    made = Shuffled(Transplant(fill=[normal]))(source, target, seed=0)
    order = [int((plain.rows == row).all(1).nonzero()) for row in made.matrix.rows]
    assert sorted(order) == list(range(55))
    assert order[:2] == [0, 1]
    assert sum(i != j for i, j in enumerate(order)) > 40
    assert torch.equal(made.matrix.output_rows, plain.output_rows[order])
    assert torch.equal(made.matrix.output_bias, plain.output_bias[order])
    assert set(tiers(made.provenance)[2:]) == {"shuffled"}


def test_factorised_rows_times_their_projection_come_closest_to_the_source():
    source = untied(word_matrix([f"w{i}" for i in range(60)], dim=10))
    target = word_tokenizer([f"w{i}" for i in range(60)])
    made = Transplant(fill=[normal], dim=4, resize="factorised")(source, target, seed=0)
    assert made.matrix.rows.shape == (60, 4)
    assert made.project_to == 10
    assert made.matrix.output_rows.shape == (60, 10)
    u, s, v = torch.linalg.svd(source.rows.double(), full_matrices=False)
    best = (u[:, :4] * s[:4]) @ v[:4]
    torch.testing.assert_close((made.matrix.rows @ made.projection).double(), best, atol=1e-5, rtol=0)
    torch.testing.assert_close(made.projection @ made.projection.T, torch.eye(4), atol=1e-5, rtol=0)


def test_a_factorised_width_is_less_than_the_source_s():
    with pytest.raises(ValueError, match="transplant.dim=12 with transplant.resize=factorised should be less"):
        Transplant(fill=[normal], dim=12, resize="factorised")(word_matrix(WORDS), word_tokenizer(WORDS), seed=0)


def test_procrustes_turns_rows_into_the_target_space():
    source = word_matrix([f"w{i}" for i in range(80)], dim=6)
    turn = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1))).Q
    space = dataclasses.replace(source, rows=source.rows @ turn + 3)
    words = word_tokenizer([f"w{i}" for i in range(80)])
    made = Transplant(fill=[normal], resize="procrustes", spaces={"target": space})(source, words, seed=0)
    torch.testing.assert_close(made.matrix.rows, space.rows, atol=1e-4, rtol=0)


def test_procrustes_says_what_it_lacks():
    source, words = word_matrix(WORDS), word_tokenizer(WORDS)
    with pytest.raises(ValueError, match="resize=procrustes needs the matrix whose space is meant"):
        Transplant(fill=[normal], resize="procrustes")(source, words, seed=0)
    with pytest.raises(ValueError, match="transplant.dim=3 is not the width 4 of transplant.spaces.target"):
        Transplant(fill=[normal], dim=3, resize="procrustes", spaces={"target": source})(source, words, seed=0)
    other = word_matrix(["other"])
    with pytest.raises(ValueError, match="share 0 tokens"):
        Transplant(fill=[normal], resize="procrustes", spaces={"target": other})(source, words, seed=0)
