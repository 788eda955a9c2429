from dataclasses import replace

import numpy as np
import pytest
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.transplant.filling import Combination, Gap
from lexigraft.transplant.omp import omp
from tests.transplant.gaps import make_gap
from tests.transplant.matrices import word_matrix, word_tokenizer

SHARED = [f"shared{i}" for i in range(40)]
NEW = [f"new{i}" for i in range(6)]


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def source_matrix(dtype: torch.dtype = torch.float32, **parts) -> EmbeddingMatrix:
    return word_matrix(["<pad>", "<unk>", *SHARED], dim=5, dtype=dtype, **parts)


def donor_matrix(**parts) -> EmbeddingMatrix:
    return word_matrix([*NEW, *reversed(SHARED), "<unk>"], dim=12, **parts)


def gap_of(source: EmbeddingMatrix, donor: EmbeddingMatrix, words: tuple[str, ...] = ()) -> Gap:
    return make_gap(source, word_tokenizer(["<pad>", "<unk>", *SHARED[:5], *NEW, *words]), spaces={"donor": donor})


def oracle(target: torch.Tensor, atoms: torch.Tensor, images: torch.Tensor, k: int) -> np.ndarray:
    t, a = target.double().numpy(), atoms.double().numpy()
    ids: list[int] = []
    residual, x = t, np.zeros(0)
    for _ in range(k):
        ids.append(int(np.abs(a @ residual / np.linalg.norm(a, axis=1)).argmax()))
        x = np.linalg.lstsq(a[ids].T, t, rcond=None)[0]
        residual = t - x @ a[ids]
    return x @ images.double().numpy()[ids]


def anchor_rows(source: torch.Tensor, donor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of SHARED in both."""
    return source[2:42], donor[len(NEW) : len(NEW) + 40].flip(0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_donors_coefficients_on_the_sources_rows(dtype):
    source, donor = source_matrix(dtype), donor_matrix()
    filled = omp(gap_of(source, donor), k=4)
    assert filled.tier == "omp"
    assert filled.done.all()
    assert isinstance(filled.rows, Combination)
    assert filled.output is None
    images, atoms = anchor_rows(source.rows, donor.rows)
    expected = np.stack([oracle(donor.rows[i], atoms, images, 4) for i in range(len(NEW))])
    assert filled.rows.apply(source.rows).dtype == dtype
    np.testing.assert_allclose(filled.rows.apply(source.rows.float()), expected, rtol=1e-4, atol=1e-5)
    assert (np.diff(filled.rows.start) == 4).all()


def test_a_sum_of_anchors_is_carried_over_exactly():
    source, donor = source_matrix(), donor_matrix()
    donor.rows[0] = 2 * donor.rows[len(NEW) + 39] - donor.rows[len(NEW) + 38]  # of shared0 and shared1
    filled = omp(gap_of(source, donor))
    assert isinstance(filled.rows, Combination)
    torch.testing.assert_close(filled.rows.apply(source.rows)[0], 2 * source.rows[2] - source.rows[3])
    assert sorted(filled.rows.source[: filled.rows.start[1]].tolist()) == [2, 3]


def test_tokens_that_the_donor_lacks_and_special_ones_are_declined():
    source, donor = source_matrix(), donor_matrix()
    donor.rows[2] = 0.0
    gap = gap_of(source, donor, ("missing",))
    gap = replace(gap, ids=np.concatenate([[0, 1], gap.ids]))
    filled = omp(gap, k=3)
    assert filled.done.tolist() == [False, False, True, True, False, True, True, True, False]
    assert len(filled.rows) == 5


def test_a_donor_that_knows_no_token():
    filled = omp(gap_of(source_matrix(), word_matrix(SHARED, dim=12)))
    assert not filled.done.any()
    assert len(filled.rows) == 0


def test_a_token_orthogonal_to_all_anchors_is_declined():
    source, donor = source_matrix(), donor_matrix()
    donor.rows[:, 0] = 0.0
    donor.rows[1] = torch.eye(12)[0]
    filled = omp(gap_of(source, donor), k=3)
    assert filled.done.tolist() == [True, False, True, True, True, True]


def test_an_untied_head_has_a_pursuit_of_its_own():
    output, donor_output = normal(42, 5, seed=11), normal(47, 9, seed=12)
    source, donor = source_matrix(output_rows=output), donor_matrix(output_rows=donor_output)
    donor_output[1] = 0.0
    filled = omp(gap_of(source, donor), k=4)
    assert isinstance(filled.rows, Combination)
    assert isinstance(filled.output, Combination)
    images, atoms = anchor_rows(output, donor_output)
    expected = np.stack([oracle(donor_output[i], atoms, images, 4) for i in range(len(NEW))])
    made = filled.output.apply(output).numpy()
    others = [0, 2, 3, 4, 5]
    np.testing.assert_allclose(made[others], expected[others], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(made[1], filled.rows.apply(output)[1])  # no output row in the donor: as its input row
    assert filled.notes["output anchors"] == 40


@pytest.mark.parametrize("tied", ["source", "donor"])
def test_a_tied_head_has_not(tied):
    heads = {"source": normal(42, 5, seed=11), "donor": normal(47, 12, seed=12)}
    source = source_matrix(output_rows=heads["source"], tied=tied == "source")
    donor = donor_matrix(output_rows=heads["donor"], tied=tied == "donor")
    assert omp(gap_of(source, donor)).output is None


def test_long_anchors_are_left_out_and_counted():
    source, donor = source_matrix(), donor_matrix()
    source.rows[7] *= 50  # shared5
    donor.rows[len(NEW)] *= 50  # shared39
    filled = omp(gap_of(source, donor), k=40)
    assert filled.notes["anchors"] == 38
    assert filled.notes["outliers"] == 2
    assert isinstance(filled.rows, Combination)
    assert not np.isin(filled.rows.source, [7, 41]).any()
    assert filled.notes["residual"] < 1e-5  # 12 dimensions and k > 12
    assert filled.notes["largest coefficient"] < 20


def test_a_donor_with_subword_vectors():
    composed = normal(5, seed=3)
    donor = word_matrix(SHARED, dim=5, compose=lambda word: composed if word == "new3" else None)
    filled = omp(gap_of(source_matrix(), donor), k=5)
    assert np.flatnonzero(filled.done).tolist() == [3]


def test_what_cannot_be():
    source = source_matrix()
    with pytest.raises(ValueError, match=r"k=0: a row is made of at least 1"):
        omp(gap_of(source, donor_matrix()), k=0)
    with pytest.raises(ValueError, match="share 0 ordinary tokens"):
        omp(gap_of(source, word_matrix(["else"], dim=3)))
    with pytest.raises(ValueError, match="needs a further matrix 'donor'"):
        omp(make_gap(source, word_tokenizer(["<unk>", *NEW])))
