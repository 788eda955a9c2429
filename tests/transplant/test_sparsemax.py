"""Sparsemax weights agree with a float64 sort of every row of cosines."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lexigraft.transplant.sparsemax import sparse_weights, weight_blocks, weighted_rows


def oracle(queries, keys, temperature=1.0):
    """max(z - tau, 0) by sorting, float64 [N, K]; Martins & Astudillo 2016, algorithm 1."""
    q, p = queries.double(), keys.double()
    z = (q / q.norm(dim=1, keepdim=True)) @ (p / p.norm(dim=1, keepdim=True)).T / temperature
    weights = torch.zeros_like(z)
    for i, row in enumerate(z):
        falling = row.sort(descending=True).values.tolist()
        total, tau = 0.0, 0.0
        for size, value in enumerate(falling, 1):
            if 1 + size * value <= total + value:
                break
            total += value
            tau = (total - 1) / size
        weights[i] = (row - tau).clamp(min=0)
    return weights


def dense(sums, width):
    table = torch.zeros(len(sums), width)
    for i in range(len(sums)):
        at = slice(sums.start[i], sums.start[i + 1])
        table[i, torch.from_numpy(sums.source[at])] = torch.from_numpy(sums.weight[at])
    return table


def clustered(count, dim, seed, noise=0.5, common=0.0):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(20, dim, generator=torch.Generator().manual_seed(99)) + common
    return centres[torch.randint(20, (count,), generator=generator)] + noise * torch.randn(
        count, dim, generator=generator
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("common", [0.0, 3.0], ids=["spread", "all much alike"])
def test_weights_are_those_of_the_oracle_for_every_block_size(dtype, common):
    queries = clustered(50, 16, 1, common=common).to(dtype)
    keys = clustered(1000, 16, 2, common=common).to(dtype)
    expected = oracle(queries, keys)
    for chunk in (None, 1, 7, 500):
        sums = sparse_weights(queries, keys, chunk=chunk)
        assert sums.source.dtype == sums.start.dtype == np.int64
        assert sums.weight.dtype == np.float32
        torch.testing.assert_close(dense(sums, 1000), expected.float(), rtol=0, atol=1e-6)


def test_a_support_of_every_key_and_one_of_a_single_key():
    alike = torch.ones(1, 8) + torch.randn(500, 8, generator=torch.Generator().manual_seed(0)) * 1e-3
    sums = sparse_weights(alike[:3], alike)
    assert np.diff(sums.start).tolist() == [500] * 3
    torch.testing.assert_close(dense(sums, 500), oracle(alike[:3], alike).float(), rtol=0, atol=1e-6)
    apart = sparse_weights(torch.eye(8), torch.cat([torch.eye(8), -torch.eye(8)]))
    assert apart.source.tolist() == list(range(8))
    assert apart.weight.tolist() == [1.0] * 8


@pytest.mark.parametrize("temperature", [0.05, 0.3, 4.0])
def test_temperature(temperature):
    queries, keys = clustered(20, 8, 3), clustered(300, 8, 4)
    sums = sparse_weights(queries, keys, temperature=temperature)
    torch.testing.assert_close(dense(sums, 300), oracle(queries, keys, temperature).float(), rtol=0, atol=1e-5)


def test_keys_in_several_parts(monkeypatch):
    queries, keys = clustered(40, 16, 3), clustered(1100, 16, 4)
    monkeypatch.setattr("lexigraft.transplant.sparsemax.HELD", 1000)
    monkeypatch.setattr("lexigraft.transplant.sparsemax.PART", 1000)
    sums = sparse_weights(queries, keys)
    torch.testing.assert_close(dense(sums, 1100), oracle(queries, keys).float(), rtol=0, atol=1e-6)


def test_the_strongest_are_the_first_of_each_sum():
    queries, keys = clustered(30, 16, 5, noise=2), clustered(400, 16, 6, noise=2)
    everything, strongest = sparse_weights(queries, keys), sparse_weights(queries, keys, top=3)
    for i in range(30):
        whole = slice(everything.start[i], everything.start[i + 1])
        part = slice(strongest.start[i], strongest.start[i + 1])
        assert (np.diff(everything.weight[whole]) <= 0).all()
        assert strongest.source[part].tolist() == everything.source[whole][:3].tolist()
        assert strongest.weight[part].tolist() == everything.weight[whole][:3].tolist()
    assert (np.diff(strongest.start) == 3).any()


def test_rows_are_summed_block_by_block_as_the_whole_would_be():
    queries, keys = clustered(25, 8, 7), clustered(200, 8, 8)
    rows = torch.randn(200, 5, generator=torch.Generator().manual_seed(9))
    expected = oracle(queries, keys) @ rows.double()
    for chunk in (None, 4):
        torch.testing.assert_close(
            weighted_rows(queries, keys, rows, chunk=chunk).double(), expected, rtol=0, atol=1e-5
        )
    assert weighted_rows(queries, keys, rows.bfloat16()).dtype == torch.bfloat16
    assert [len(block) for block in weight_blocks(queries, keys, chunk=10)] == [10, 10, 5]


def test_rows_that_are_no_vectors_have_empty_sums_and_never_a_weight():
    queries, keys = clustered(6, 4, 10), clustered(50, 4, 11)
    queries[1], queries[4, 2] = 0, math.nan
    keys[3], keys[8, 0] = 0, math.inf
    sums = sparse_weights(queries, keys, chunk=2)
    served = [0, 2, 3, 5]
    lengths = np.diff(sums.start)
    assert lengths[[1, 4]].tolist() == [0, 0]
    assert not np.isin(sums.source, (3, 8)).any()
    kept = torch.tensor([i for i in range(50) if i not in (3, 8)])
    torch.testing.assert_close(
        dense(sums, 50)[served][:, kept], oracle(queries[served], keys[kept]).float(), rtol=0, atol=1e-6
    )
    rows = weighted_rows(queries, keys, torch.ones(50, 2))
    torch.testing.assert_close(rows[served], torch.ones(4, 2))
    assert not rows[[1, 4]].any()


@pytest.mark.parametrize(("queries", "keys"), [(0, 5), (3, 0), (0, 0)])
def test_nothing_among_nothing(queries, keys):
    sums = sparse_weights(torch.ones(queries, 3), torch.ones(keys, 3))
    assert len(sums) == queries
    assert len(sums.source) == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 200), st.integers(1, 5))
def test_small_integers_with_their_many_ties(seed, queries, keys, dim):
    generator = torch.Generator().manual_seed(seed)
    q = torch.randint(-2, 3, (queries, dim), generator=generator).float() + 0.25
    p = torch.randint(-2, 3, (keys, dim), generator=generator).float() + 0.25
    sums = sparse_weights(q, p, chunk=1 + seed % 3)
    torch.testing.assert_close(dense(sums, keys), oracle(q, p).float(), rtol=0, atol=1e-6)
    totals = np.add.reduceat(sums.weight, sums.start[:-1])
    np.testing.assert_allclose(totals, 1, atol=1e-5)


def test_a_temperature_must_be_above_0():
    with pytest.raises(ValueError, match="temperature of sparsemax is 0, but must be above 0"):
        sparse_weights(torch.ones(1, 2), torch.ones(1, 2), temperature=0)
