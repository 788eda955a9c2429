"""Both ways to choose atoms, by the Gram matrix (numba) and by the residuals (torch), against a float64 oracle."""

import importlib.util

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lexigraft.transplant.matching_pursuit import Pursuit, gram_matrix, pursue

NUMBA = pytest.param("gram", marks=pytest.mark.skipif(not importlib.util.find_spec("numba"), reason="needs numba"))
WAYS = [NUMBA, "residuals"]


def run(way: str, targets: torch.Tensor, atoms: torch.Tensor, k: int) -> Pursuit:
    return pursue(targets, atoms, k, gram=gram_matrix(atoms) if way == "gram" else None, gram_bytes=0)


def oracle(target: torch.Tensor, atoms: torch.Tensor, k: int) -> tuple[list[int], np.ndarray, float]:
    """The textbook: largest |<r, a>| / |a|, least squares over the chosen ones, in float64."""
    t, a = target.double().numpy(), atoms.double().numpy()
    unit = a / np.linalg.norm(a, axis=1, keepdims=True)
    ids: list[int] = []
    residual, x = t, np.zeros(0)
    for _ in range(k):
        correlation = np.abs(unit @ residual)
        correlation[ids] = -1
        ids.append(int(correlation.argmax()))
        x = np.linalg.lstsq(a[ids].T, t, rcond=None)[0]
        residual = t - x @ a[ids]
    return ids, x, float(np.linalg.norm(residual) / np.linalg.norm(t))


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def sums(found: Pursuit, atoms: torch.Tensor) -> torch.Tensor:
    return torch.einsum("nk,nkd->nd", found.coefficients, atoms.double()[found.ids.clamp(min=0)])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("atoms", "dim", "k"), [(1200, 48, 20), (991, 16, 9), (993, 8, 1), (30, 40, 12)])
def test_the_same_as_the_oracle(way, atoms, dim, k):
    a = normal(atoms, dim, seed=1) * normal(atoms, 1, seed=2).exp()  # of all norms
    targets = normal(21, dim, seed=3) * 7
    found = run(way, targets, a, k)
    assert found.ids.shape == (21, k)
    for i, target in enumerate(targets):
        ids, x, residual = oracle(target, a, k)
        assert found.ids[i].tolist() == ids
        np.testing.assert_allclose(found.coefficients[i], x, rtol=1e-5, atol=1e-6)
        assert found.residuals[i].item() == pytest.approx(residual, rel=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_correlated_atoms(way):
    """Atoms with a common part and in pairs that hardly differ: the residuals stay those of the oracle."""
    near = normal(200, 32, seed=1)
    a = torch.cat([near, near + 0.05 * normal(200, 32, seed=2)]) + 3.0
    targets = normal(10, 32, seed=3) + 3.0
    found = run(way, targets, a, 16)
    for i, target in enumerate(targets):
        assert found.residuals[i].item() == pytest.approx(oracle(target, a, 16)[2], rel=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_a_sparse_target_is_recovered(way):
    a = normal(500, 64, seed=1)
    x = torch.tensor([[2.0, -1.0, 0.5]])
    found = run(way, x @ a[[7, 400, 33]], a, 10)
    chosen = found.ids[0][found.ids[0] >= 0].tolist()
    assert sorted(chosen) == [7, 33, 400]  # and no further one: nothing is left
    weights = dict(zip(chosen, found.coefficients[0].tolist()))
    assert [weights[i] for i in (7, 400, 33)] == pytest.approx([2.0, -1.0, 0.5], rel=1e-6)
    assert found.residuals.item() < 1e-6


@pytest.mark.parametrize("way", WAYS)
def test_more_atoms_asked_for_than_dimensions(way):
    a, targets = normal(300, 12, seed=1), normal(20, 12, seed=2)
    found = run(way, targets, a, 64)
    assert ((found.ids >= 0).sum(1) <= 16).all()
    assert found.residuals.max() < 1e-5
    assert found.coefficients.abs().max() < 20
    torch.testing.assert_close(sums(found, a).float(), targets, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_rank_deficient_repeated_and_zero_atoms(way):
    basis = normal(4, 20, seed=1)
    a = normal(60, 4, seed=2) @ basis  # rank 4
    a = torch.cat([a, a, torch.zeros(3, 20)])
    inside = normal(5, 4, seed=3) @ basis
    outside = inside + 0.5 * normal(5, 20, seed=4)
    found = run(way, torch.cat([inside, outside]), a, 30)
    assert found.residuals[:5].max() < 1e-5
    for i, target in enumerate(outside):
        projected = target @ torch.linalg.pinv(basis) @ basis
        assert found.residuals[5 + i].item() == pytest.approx(
            ((target - projected).norm() / target.norm()).item(), rel=1e-4
        )
    assert found.ids.max() < 60  # the first of equal atoms
    assert found.coefficients.abs().max() < 20


@pytest.mark.parametrize("way", WAYS)
def test_nearly_equal_atoms_do_not_explode(way):
    a = normal(40, 24, seed=1)
    a = torch.cat([a, a + 1e-6 * normal(40, 24, seed=2)])
    found = run(way, normal(10, 24, seed=3), a, 24)
    assert found.coefficients.abs().max() < 50


@pytest.mark.parametrize("way", WAYS)
def test_a_long_atom_is_chosen_no_more_often(way):
    a, targets = normal(400, 32, seed=1), normal(30, 32, seed=2)
    longer = a.clone()
    longer[5] *= 50
    plain, found = run(way, targets, a, 8), run(way, targets, longer, 8)
    assert torch.equal(plain.ids, found.ids)
    torch.testing.assert_close(plain.residuals, found.residuals)


@pytest.mark.parametrize("way", WAYS)
def test_zero_targets_and_none(way):
    a = normal(30, 6, seed=1)
    found = run(way, torch.zeros(2, 6), a, 4)
    assert (found.ids == -1).all()
    assert (found.coefficients == 0).all()
    assert found.residuals.tolist() == [0, 0]
    assert run(way, torch.zeros(0, 6), a, 4).ids.shape == (0, 4)


@pytest.mark.parametrize("way", WAYS)
def test_fewer_atoms_than_asked_for(way):
    a = normal(3, 6, seed=1)
    assert run(way, normal(2, 6, seed=2), a, 64).ids.shape == (2, 3)


@pytest.mark.parametrize("way", WAYS)
def test_neither_the_number_of_targets_nor_of_threads_matters(way):
    a, targets = normal(700, 24, seed=1), normal(530, 24, seed=2)
    whole = run(way, targets, a, 10)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3 - min(threads, 2))
        parts = [run(way, part, a, 10) for part in (targets[:200], targets[200:])]
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(torch.cat([sums(p, a) for p in parts]), sums(whole, a), rtol=0, atol=1e-6)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types(way, dtype):
    a, targets = normal(100, 12, seed=1).to(dtype), normal(5, 12, seed=2).to(dtype)
    found = run(way, targets, a, 4)
    assert found.residuals[0].item() == pytest.approx(oracle(targets[0], a, 4)[2], rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    atoms=st.integers(1, 40),
    dim=st.integers(1, 12),
    k=st.integers(1, 15),
    rank=st.integers(1, 12),
    spread=st.floats(0, 4),
)
def test_never_worse_than_nothing_and_never_large(seed, atoms, dim, k, rank, spread):
    """Whatever the atoms: what is reported is what the sums leave, with coefficients that stay in bounds."""
    a = (
        normal(atoms, rank, seed=seed)
        @ normal(rank, dim, seed=seed + 1)
        * (spread * normal(atoms, 1, seed=seed + 2)).exp()
    )
    targets = normal(4, dim, seed=seed + 3)
    for way in ["gram", "residuals"] if importlib.util.find_spec("numba") else ["residuals"]:
        found = run(way, targets, a, k)
        left = (targets.double() - sums(found, a)).norm(dim=1) / targets.double().norm(dim=1)
        terms = found.coefficients * a.double().norm(dim=1)[found.ids.clamp(min=0)]
        terms = terms.abs() / targets.double().norm(dim=1, keepdim=True)
        assert ((left - found.residuals).abs() <= 1e-6 * (1 + terms.sum(1))).all()
        assert found.residuals.max() <= 1 + 1e-6
        assert terms.max() <= 1e4
        for ids in found.ids.tolist():
            chosen = [i for i in ids if i >= 0]
            assert len(set(chosen)) == len(chosen)


def test_a_choice_by_gram_is_made_where_it_pays(monkeypatch):
    pytest.importorskip("numba")
    from lexigraft.transplant import gram_pursuit

    calls = []
    inner = gram_pursuit.pursue_by_gram
    monkeypatch.setattr(gram_pursuit, "pursue_by_gram", lambda *a, **k: calls.append(1) or inner(*a, **k))
    a = normal(100, 8, seed=1)
    pursue(normal(20, 8), a, 4)
    assert len(calls) == 1
    pursue(normal(20, 8), a, 4, gram_bytes=39_999)  # 4 x 100 x 100 bytes are too many
    pursue(normal(5, 8), a, 4)  # 5 targets are too few
    assert len(calls) == 1


def test_without_numba(monkeypatch):
    a, targets = normal(100, 8, seed=1), normal(20, 8, seed=2)
    found = pursue(targets, a, 4)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    torch.testing.assert_close(sums(pursue(targets, a, 4, gram=gram_matrix(a)), a), sums(found, a), rtol=0, atol=1e-6)


def test_a_read_only_folder_needs_no_cache(monkeypatch):
    pytest.importorskip("numba")
    from lexigraft.transplant import gram_pursuit

    def njit(**options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: (function, options)

    monkeypatch.setattr(gram_pursuit, "njit", njit)
    function, options = gram_pursuit._compiled(fastmath=True)(len)
    assert function is len
    assert options == {"nogil": True, "fastmath": True}


def test_what_cannot_be():
    a = normal(5, 3)
    with pytest.raises(ValueError, match="k is 0"):
        pursue(a, a, 0)
    a[2, 1] = torch.nan
    with pytest.raises(ValueError, match="should be finite"):
        pursue(normal(2, 3), a, 1)
