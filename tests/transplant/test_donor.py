import numpy as np
import pytest
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.transplant.donor import anchors, of_tokens, vectors_of, well_behaved
from lexigraft.vocab.vocabulary import Token, Vocabulary
from tests.transplant.matrices import character_matrix, word_matrix


def matrix(tokens: list[Token], unreachable: frozenset[int] = frozenset()) -> EmbeddingMatrix:
    rows = torch.randn(len(tokens), 3, generator=torch.Generator().manual_seed(3))
    return EmbeddingMatrix(Vocabulary(tuple(tokens), unreachable=unreachable), rows, {"name": "made in a test"})


def test_anchors_are_the_ordinary_tokens_that_both_have():
    source = word_matrix(["<pad>", "<unk>", "one", "two", "three"])
    donor = word_matrix(["three", "<unk>", "four", "one", "<pad>"])
    ours, theirs = anchors(source, donor)
    assert ours.tolist() == [2, 4]
    assert theirs.tolist() == [3, 0]


def test_a_token_stands_in_one_pair_and_the_exact_one_wins():
    source = matrix([Token("中".encode(), True), Token(b"x", True)])
    donor = matrix(
        [Token("中".encode(), None), Token("中".encode(), False), Token("中".encode(), True), Token(b"x", True)]
    )
    ours, theirs = anchors(source, donor)
    assert ours.tolist() == [0, 1]
    assert theirs.tolist() == [2, 3]


@pytest.mark.parametrize("bad", [0.0, float("nan"), float("inf")])
@pytest.mark.parametrize("side", ["source", "donor"])
def test_rows_that_are_zero_or_not_finite_are_no_anchors(bad, side):
    sides = {"source": word_matrix(["a", "b", "c"]), "donor": word_matrix(["c", "b", "a"])}
    sides[side].rows[1] = 0.0 if bad == 0.0 else torch.tensor([1.0, bad, 1.0, 1.0])
    ours, theirs = anchors(sides["source"], sides["donor"])
    assert ours.tolist() == [0, 2]
    assert theirs.tolist() == [2, 0]


def test_a_usable_row_serves_where_the_exact_one_is_zero():
    source = matrix([Token("中".encode(), True)])
    donor = matrix([Token("中".encode(), None), Token("中".encode(), True)])
    donor.rows[1] = 0.0
    assert [ids.tolist() for ids in anchors(source, donor)] == [[0], [0]]


def test_tokens_that_are_never_produced_are_no_anchors():
    tokens = [Token(b"a", True), Token(b"b", True), Token(b"c", True)]
    ours, _ = anchors(matrix(tokens, frozenset({0})), matrix(tokens, frozenset({0, 2})))
    assert ours.tolist() == [1]


def test_tokens_by_id_in_the_donor():
    donor = word_matrix(["<pad>", "<unk>", "one", "two", "zero"])
    donor.rows[4] = 0.0
    asked = [Token(b"two", True), Token(b"six", True), Token(b"<pad>", True, "pad"), Token(b"zero", True)]
    assert of_tokens(donor, asked).tolist() == [3, -1, -1, -1]
    assert of_tokens(donor, []).tolist() == []


def test_vectors_of_a_donor_with_subword_vectors():
    composed = {"six": torch.ones(4), "none": torch.zeros(4)}
    donor = word_matrix(["<unk>", "one"], dtype=torch.float16, compose=composed.get)
    surfaces = [b"one", b"six", b"none", b"other", b"\xff", b""]
    asked = [*(Token(s, True) for s in surfaces), Token(b"six", True, "special:six")]
    known, vectors = vectors_of(donor, asked)
    assert known.tolist() == [True, True, False, False, False, False, False]
    assert vectors.dtype == torch.float32
    torch.testing.assert_close(vectors, torch.stack([donor.rows[1].float(), torch.ones(4)]))


def test_long_rows_of_either_side_are_left_out():
    source, donor = character_matrix("abcdefgh"), character_matrix("abcdefgh")
    rows, other = source.rows.clone(), donor.rows.clone()
    rows[2] *= 50
    other[5] *= 50
    ours, theirs = well_behaved(rows, other, *anchors(source, donor))
    assert ours.tolist() == theirs.tolist() == [0, 1, 3, 4, 6, 7]


@pytest.mark.parametrize("shared", ["", "a"])
def test_too_few_anchors(shared):
    source, donor = character_matrix("abc"), character_matrix(shared + "xyz")
    with pytest.raises(ValueError, match=rf"share {len(shared)} ordinary tokens .* at least 2 .* give a donor"):
        well_behaved(source.rows, donor.rows, *anchors(source, donor))


def test_large_vocabularies_take_no_loop_per_pair():
    words = [f"w{i}" for i in range(20_000)]  # more than one chunk
    source, donor = word_matrix(words, dim=2), word_matrix(words[::-1], dim=2)
    ours, theirs = anchors(source, donor)
    np.testing.assert_array_equal(ours, np.arange(20_000))
    np.testing.assert_array_equal(theirs, ours[::-1])
