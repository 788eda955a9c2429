import pytest
import torch

from lexigraft.training.schedule import Constant, Linear


def rates(schedule, steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = schedule(optimizer, steps)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found, optimizer.param_groups[0]["lr"]


def test_linear_warms_up_by_share_and_decays_to_zero():
    found, after = rates(Linear(warmup=0.4), 10)
    assert found == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    assert after == 0


def test_linear_warms_up_by_steps():
    assert rates(Linear(warmup=2), 4)[0] == pytest.approx([0.5, 1.0, 1.0, 0.5])


def test_linear_without_warm_up_starts_at_the_full_rate():
    assert rates(Linear(warmup=0), 4)[0] == pytest.approx([1.0, 0.75, 0.5, 0.25])


def test_constant_stays():
    assert rates(Constant(), 3)[0] == [1.0, 1.0, 1.0]
    assert rates(Constant(warmup=2), 4)[0] == [0.5, 1.0, 1.0, 1.0]


def test_more_warm_up_than_steps_is_an_error():
    with pytest.raises(ValueError, match="scheduler.warmup=20 is 20 steps, but training has only 10"):
        rates(Linear(warmup=20), 10)


def test_negative_warm_up_is_an_error():
    with pytest.raises(ValueError, match="scheduler.warmup=-1"):
        rates(Constant(warmup=-1), 10)
