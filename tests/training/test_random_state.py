import random

import numpy as np
import pytest
import torch

from lexigraft.training.random_state import random_states, set_random_states


def drawn():
    return [torch.rand(1).item(), np.random.rand(), random.random()]


def seeded(seed):
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def test_all_streams_go_on_where_they_stood():
    seeded(3)
    (state,) = random_states()
    expected = drawn()
    seeded(4)
    assert set_random_states([state], 0, 1)
    assert drawn() == expected


@pytest.mark.parametrize("rank", [0, 1])
def test_each_rank_has_its_own(rank):
    states = []
    for seed in (3, 4):
        seeded(seed)
        states += random_states()
    expected = drawn() if rank else None
    if not rank:
        seeded(3)
        expected = drawn()
    assert set_random_states(states, rank, 2)
    assert drawn() == expected


def test_with_other_ranks_the_first_stream_goes_on_and_seeds_the_others():
    seeded(3)
    (state,) = random_states()
    expected = drawn()
    found = []
    for rank in (0, 1, 2, 1):
        seeded(9)
        assert not set_random_states([state], rank, 3)
        found.append(drawn())
    assert found[0] == expected
    assert found[1] == found[3]
    assert len({value for values in found[:3] for value in values}) == 9
