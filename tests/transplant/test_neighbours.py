"""Nearest neighbours agree with a float64 sort of all distances, whatever the blocks, threads and dtypes."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lexigraft.transplant.neighbours import full_precision, nearest, units, vectors


def oracle(queries, keys, k, metric):
    """All pairs in float64, rounded to float32 and sorted; equal ones by id."""
    q, p = queries.double(), keys.double()
    if metric == "cosine":
        values = torch.stack([(p * x).sum(1) / (p.norm(dim=1) * x.norm()) for x in q]).float()
    else:
        values = torch.stack([(p - x).pow(2).sum(1).sqrt() for x in q]).float()
    values, ids = values.sort(dim=1, descending=metric == "cosine", stable=True)
    return ids[:, :k], values[:, :k]


def clustered(count, dim, seed):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(20, dim, generator=torch.Generator().manual_seed(99)) + 1
    return centres[torch.randint(20, (count,), generator=generator)] + torch.randn(count, dim, generator=generator) / 2


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_ids_and_values_are_those_of_the_oracle_for_every_block_size(metric, dtype):
    queries, keys = clustered(60, 12, 1).to(dtype), clustered(900, 12, 2).to(dtype)
    keys[300] *= 500
    for chunk in (None, 7, 64, 5000):
        ids, values = nearest(queries, keys, 20, metric=metric, chunk=chunk)
        expected, distances = oracle(queries, keys, 20, metric)
        assert ids.dtype == torch.int64
        assert values.dtype == torch.float32
        assert torch.equal(ids, expected)
        torch.testing.assert_close(values, distances, rtol=0, atol=1e-6)


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_many_blocks_of_the_default_size(metric):
    queries, keys = clustered(700, 8, 3), clustered(20000, 8, 4)
    ids, values = nearest(queries, keys, 9, metric=metric)
    for i in (0, 511, 512, 699):
        expected, distances = oracle(queries[i : i + 1], keys, 9, metric)
        assert torch.equal(ids[i : i + 1], expected)
        torch.testing.assert_close(values[i : i + 1], distances, rtol=0, atol=1e-6)


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("chunk", [None, 5, 64])
def test_ties_go_to_the_lower_id_also_where_there_are_more_than_the_candidates(metric, chunk):
    keys = torch.randn(400, 6, generator=torch.Generator().manual_seed(5))
    keys[100:300] = keys[7]
    ids, values = nearest(keys[[7, 350]], keys, 30, metric=metric, chunk=chunk)
    assert ids[0].tolist() == [7, *range(100, 129)]
    expected, _ = oracle(keys[[350]], keys, 30, metric)
    assert torch.equal(ids[1:], expected)
    if metric == "l2":
        assert not values[0].any()


def test_keys_that_float32_products_cannot_tell_apart_are_ordered_by_their_true_distance():
    query = torch.full((1, 4), 1000.0)
    keys = torch.full((200, 4), 1000.0)
    keys[:, 0] += torch.linspace(0.02, 0.001, 200)  # squares near 1e6: float32 keeps 0.06 of them
    ids, _ = nearest(query, keys, 3, metric="l2", chunk=16)
    assert torch.equal(ids, oracle(query, keys, 3, "l2")[0])
    assert ids[0, 0] == 199


def test_threads_and_lower_matmul_precision_change_nothing():
    queries, keys = clustered(100, 33, 6), clustered(3000, 33, 7)
    before, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    answers = []
    try:
        for threads, allowed in ((1, "highest"), (2, "medium")):
            torch.set_num_threads(threads)
            torch.set_float32_matmul_precision(allowed)
            answers.append(nearest(queries, keys, 16))
            assert torch.get_float32_matmul_precision() == allowed
    finally:
        torch.set_num_threads(before)
        torch.set_float32_matmul_precision(precision)
    assert torch.equal(answers[0][0], answers[1][0])
    assert torch.equal(answers[0][1], answers[1][1])


@pytest.mark.parametrize(("metric", "nothing"), [("cosine", -math.inf), ("l2", math.inf)])
def test_rows_that_are_no_vectors_are_never_chosen_and_have_no_neighbours(metric, nothing):
    keys = torch.eye(5)
    keys[1], keys[2, 0], keys[3, 1] = 0, math.nan, math.inf
    keys = torch.cat([keys, torch.full((1, 5), 1e30)])
    queries = torch.stack([torch.ones(5), torch.zeros(5), torch.full((5,), math.nan)])
    ids, values = nearest(queries, keys, 4, metric=metric)
    assert ids.tolist() == [[0, 4, -1, -1], [-1] * 4, [-1] * 4]
    assert (values[0, 2:] == nothing).all()
    assert (values[1:] == nothing).all()
    assert torch.isfinite(values[0, :2]).all()


@pytest.mark.parametrize(("queries", "keys"), [(0, 5), (5, 0), (0, 0)])
def test_nothing_among_nothing(queries, keys):
    ids, values = nearest(torch.ones(queries, 3), torch.ones(keys, 3), 2)
    assert ids.shape == values.shape == (queries, 2)
    assert (ids == -1).all()


def test_more_neighbours_than_keys():
    ids, values = nearest(clustered(3, 4, 8), clustered(5, 4, 9), 8)
    assert torch.isinf(values[:, 5:]).all()
    assert (ids[:, 5:] == -1).all()
    assert ids[:, :5].sort(1).values.tolist() == [list(range(5))] * 3


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 60), st.integers(1, 15), st.integers(1, 6), st.booleans()
)
def test_small_integers_with_their_many_ties(seed, queries, keys, k, dim, cosine):
    generator = torch.Generator().manual_seed(seed)
    q = torch.randint(-2, 3, (queries, dim), generator=generator).float()
    p = torch.randint(-2, 3, (keys, dim), generator=generator).float()
    usable = torch.nonzero(p.any(1))[:, 0]
    metric = "cosine" if cosine else "l2"
    ids, values = nearest(q, p, k, metric=metric, chunk=1 + seed % 17)
    count = min(k, len(usable))
    for i in range(queries):
        if not q[i].any() or not count:
            assert (ids[i] == -1).all()
            continue
        expected, distances = oracle(q[i : i + 1], p[usable], k, metric)
        torch.testing.assert_close(values[i, :count], distances[0], rtol=0, atol=1e-6)
        if not cosine:  # whole numbers have exact distances; cosines of multiples may differ in float64's last bit
            assert torch.equal(ids[i, :count], usable[expected[0]])
        assert len(set(ids[i, :count].tolist())) == count
        assert (ids[i, count:] == -1).all()


@pytest.mark.parametrize(
    ("arguments", "metric", "message"),
    [
        ((torch.ones(1, 2), torch.ones(1, 2), 1), "dot", "unknown metric 'dot': expected 'cosine' or 'l2'"),
        ((torch.ones(1, 2), torch.ones(1, 2), 0), "l2", "k is 0"),
        (
            (torch.ones(1, 2), torch.ones(1, 3), 1),
            "l2",
            r"shape \(1, 2\) have no distance to vectors of shape \(1, 3\)",
        ),
    ],
)
def test_what_cannot_be_asked(arguments, metric, message):
    with pytest.raises(ValueError, match=message):
        nearest(*arguments, metric=metric)


def test_norms_and_unit_rows():
    rows = torch.tensor([[3.0, 4.0], [0.0, 0.0], [math.inf, 1.0], [60000.0, 0.0]], dtype=torch.float16)
    usable, norms = vectors(rows)
    assert usable.tolist() == [0, 3]
    assert norms[usable].tolist() == [5.0, 60000.0]
    assert torch.equal(units(rows, norms, usable), torch.tensor([[0.6, 0.8], [1.0, 0.0]]))


def test_the_precision_is_put_back_after_an_error():
    before = torch.get_float32_matmul_precision()
    with pytest.raises(ZeroDivisionError), full_precision():
        raise ZeroDivisionError
    assert torch.get_float32_matmul_precision() == before
