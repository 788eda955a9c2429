from dataclasses import replace

import numpy as np
import pytest
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.transplant.procrustes import landmark, orthogonal_map, procrustes
from tests.transplant.gaps import make_gap
from tests.transplant.matrices import word_matrix, word_tokenizer

SHARED = [f"shared{i}" for i in range(120)]
NEW = [f"new{i}" for i in range(10)]
TARGET = word_tokenizer(["<pad>", "<unk>", *SHARED, *NEW])


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(size: int, seed: int) -> torch.Tensor:
    return torch.linalg.qr(normal(size, size, seed=seed))[0]


def planted(
    p: int, q: int, scale: float = 1.0, noise: float = 0.0, **parts
) -> tuple[EmbeddingMatrix, EmbeddingMatrix, torch.Tensor]:
    """Source [V, q], donor [V, p] whose rows are one set of points seen in two bases, and the new tokens' true rows."""
    m = min(p, q)
    points = normal(len(SHARED) + len(NEW), m, seed=1) * torch.linspace(2, 0.5, m, dtype=torch.float64)
    ours = scale * points @ rotation(q, 2)[:m] + normal(1, q, seed=3)
    theirs = points @ rotation(p, 4)[:m] + normal(1, p, seed=5)
    ours = ours + noise * normal(*ours.shape, seed=6)
    source = word_matrix(["<unk>", *SHARED], dim=q, **parts)
    source.rows[1:] = ours[: len(SHARED)].float()
    donor = word_matrix([*SHARED, *NEW], dim=p)
    donor.rows[:] = theirs.float()
    return source, donor, ours[len(SHARED) :]


def error(found: torch.Tensor, true: torch.Tensor) -> float:
    return float((found.double() - true).norm() / (true - true.mean(0)).norm())


@pytest.mark.parametrize(("p", "q"), [(6, 6), (4, 7), (7, 4)])
def test_the_map_is_semi_orthogonal_and_recovers_a_rotation(p, q):
    turn = rotation(max(p, q), 1)[:p, :q]
    x = normal(50, p, seed=2) if p <= q else normal(50, q, seed=2) @ turn.T
    w = orthogonal_map(x.float(), (x @ turn).float())
    assert w.dtype == torch.float64
    inner = w @ w.T if p <= q else w.T @ w
    torch.testing.assert_close(inner, torch.eye(min(p, q), dtype=torch.float64))
    torch.testing.assert_close(x @ w, x @ turn, rtol=1e-5, atol=1e-5)


def test_no_other_rotation_fits_better():
    x, y = normal(40, 5, seed=1), normal(40, 5, seed=2)
    best = (x @ orthogonal_map(x, y) - y).norm()
    assert all(best <= (x @ rotation(5, seed) - y).norm() for seed in range(30))


def test_pairs_are_needed():
    with pytest.raises(ValueError, match="3 rows cannot be rotated onto 4"):
        orthogonal_map(normal(3, 2, seed=1), normal(4, 2, seed=1))


@pytest.mark.parametrize(("p", "q"), [(8, 8), (5, 9), (9, 5)])
@pytest.mark.parametrize(("method", "scale"), [(procrustes, 3.0), (landmark, 1.0)])
def test_held_out_rows_are_recovered(method, scale, p, q):
    source, donor, true = planted(p, q, scale)
    filled = method(make_gap(source, TARGET, spaces={"donor": donor}))
    assert filled.done.tolist() == [False] + [True] * len(NEW)  # the padding token is declined
    assert filled.notes == {"anchors": 120, "outliers": 0}
    assert error(filled.rows(source.rows), true) < 1e-5


def test_the_transposed_rotation_would_be_far_off():
    """The direction of the map: donor to source, not back."""
    source, donor, true = planted(8, 8, noise=0.05)
    found = landmark(make_gap(source, TARGET, spaces={"donor": donor})).rows(source.rows)
    x, y = donor.rows[:120].double(), source.rows[1:].double()
    transposed = orthogonal_map(x - x.mean(0), y - y.mean(0)).T
    wrong = (donor.rows[120:].double() - x.mean(0)) @ transposed + y.mean(0)
    assert error(found, true) < 0.1
    assert error(wrong, true) > 0.8


def test_against_the_formula():
    source, donor, _ = planted(6, 6, scale=0.2, noise=0.1)
    found = procrustes(make_gap(source, TARGET, spaces={"donor": donor})).rows(source.rows)
    x, y = donor.rows[:120].double().numpy(), source.rows[1:].double().numpy()
    left, s, right = np.linalg.svd((x - x.mean(0)).T @ (y - y.mean(0)))
    scale = s.sum() / np.square(x - x.mean(0)).sum()
    expected = scale * (donor.rows[120:].double().numpy() - x.mean(0)) @ left @ right + y.mean(0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_landmarks_keep_the_donors_scale():
    source, donor, _ = planted(6, 6, scale=0.2)
    found = landmark(make_gap(source, TARGET, spaces={"donor": donor})).rows(source.rows)
    torch.testing.assert_close(torch.pdist(found), torch.pdist(donor.rows[120:]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_rows_in_the_sources_type(dtype):
    source, donor, true = planted(6, 6)
    source = replace(source, rows=source.rows.to(dtype))
    found = procrustes(make_gap(source, TARGET, spaces={"donor": donor})).rows(source.rows)
    assert found.dtype == dtype
    assert error(found, true) < 0.02


@pytest.mark.parametrize("method", [procrustes, landmark])
def test_output_rows_are_fitted_anew(method):
    source, donor, true = planted(6, 6)
    turn = rotation(6, 9)
    source = replace(source, output_rows=(source.rows.double() @ turn).float())
    filled = method(make_gap(source, TARGET, spaces={"donor": donor}))
    assert filled.output is None
    assert error(filled.rows(source.output_rows), true @ turn) < 1e-5  # from the donor's input rows: it has no others


@pytest.mark.parametrize("method", [procrustes, landmark])
def test_output_rows_from_the_donors_own(method):
    source, donor, _ = planted(6, 6)
    other, other_donor, true = planted(5, 5)
    source = replace(source, output_rows=other.rows)
    donor = replace(donor, output_rows=other_donor.rows.clone())
    donor.output_rows[121] = torch.nan  # new1 has none
    untied = method(make_gap(source, TARGET, spaces={"donor": donor}))
    found = untied.output(other.rows)
    others = [0, *range(2, 10)]
    assert error(found[others], true[others]) < 1e-5
    torch.testing.assert_close(found[1], untied.rows(other.rows)[1])
    donor.output_rows[121] = other_donor.rows[121]
    whole = method(make_gap(source, TARGET, spaces={"donor": donor}))
    assert error(whole.output(other.rows), true) < 1e-5


def test_a_long_anchor_does_not_turn_the_rest():
    source, donor, true = planted(6, 6, scale=2.0)
    donor.rows[3] = 1000.0
    filled = procrustes(make_gap(source, TARGET, spaces={"donor": donor}))
    assert filled.notes == {"anchors": 119, "outliers": 1}
    assert error(filled.rows(source.rows), true) < 1e-5


def test_fewer_anchors_than_dimensions():
    source, donor, _ = planted(30, 40)
    few = replace(donor, vocabulary=word_matrix([*SHARED[:8], *(f"other{i}" for i in range(112)), *NEW], 30).vocabulary)
    found = procrustes(make_gap(source, TARGET, spaces={"donor": few})).rows(source.rows)
    assert torch.isfinite(found).all()
    assert len(torch.unique(found, dim=0)) == len(NEW)


def test_what_cannot_be():
    source, donor, _ = planted(6, 6)
    with pytest.raises(ValueError, match="share 0 ordinary tokens"):
        procrustes(make_gap(source, TARGET, spaces={"donor": word_matrix(NEW, dim=6)}))
    donor.rows[:120] = 1.0
    filled = landmark(make_gap(source, TARGET, spaces={"donor": donor}))
    with pytest.raises(ValueError, match="all anchors have the same row"):
        filled.rows(source.rows)
