import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lexigraft.transplant import duplicates
from lexigraft.transplant.duplicates import equal_rows, find_duplicates
from lexigraft.transplant.filling import Combination


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from([0.0, 1.0, -1.0, 0.5]), min_size=3, max_size=3), min_size=1, max_size=20))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_groups_are_those_of_a_plain_search(dtype, values):
    rows = torch.tensor(values, dtype=dtype)
    found = {tuple(group.tolist()) for group in equal_rows(rows, np.arange(len(rows)))}
    keys = [tuple(row) for row in values]
    plain = {tuple(i for i, other in enumerate(keys) if other == key) for key in keys}
    assert found == {group for group in plain if len(group) > 1}


def test_rows_are_looked_at_in_pieces(monkeypatch):
    rows = torch.randn(50, 7)
    rows[33] = rows[2]
    whole = equal_rows(rows, np.arange(50))
    monkeypatch.setattr(duplicates, "_NUMBERS_AT_A_TIME", 20)
    assert [g.tolist() for g in equal_rows(rows, np.arange(50))] == [g.tolist() for g in whole] == [[2, 33]]


def test_every_kind_of_equality_is_named():
    source = torch.randn(6, 4)
    source[5] = source[4]
    sums = [[0], [0], [1, 2], [2, 1], [3], [1], [4], [5], [0, 0]]
    made_of = Combination.mean_of(sums)
    rows = made_of.apply(source)
    rows[4] = rows[5]  # though it should be a copy of 3
    found = find_duplicates(rows, made_of, source, np.ones(9, bool))
    assert (found.copies, found.same_sums, found.accidental.tolist(), found.rows) == (5, 2, [4, 5], 9)


def test_rows_that_are_not_considered_are_nobodys_equal():
    rows = torch.ones(3, 2)
    made_of = Combination(np.zeros(4, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    assert find_duplicates(rows, made_of, rows, np.array([True, False, False])).rows == 0
    assert find_duplicates(rows, made_of, rows, np.ones(3, bool)).accidental.tolist() == [0, 1, 2]
