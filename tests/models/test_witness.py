import pytest
import torch

from lexigraft.models import witness as law


def rows(count: int = 400) -> torch.Tensor:
    return 0.1 * torch.randn(count, 8, generator=torch.Generator().manual_seed(0))


def test_a_fresh_witness_saw_nothing():
    like = torch.zeros(1)
    assert law.fresh(like).shape == (law.COUNT,)
    assert law.fresh(like).dtype == torch.float32
    assert law.loss(law.fresh(like)) is None
    assert law.loss(law.fresh(like) * 0.5)[[0, -1]].tolist() == [-0.5, -0.5]


@pytest.mark.parametrize("factor", [0.5, 0.99, 1 - 1e-4, 1.25, -0.5])
def test_the_change_of_rows_tells_the_witness(factor):
    before = rows()
    before[3] = 0
    found = law.of_change([(before[:100], before[:100] * factor), (before[100:], before[100:] * factor)], before)
    assert torch.allclose(found, law.fresh(before) * factor, rtol=1e-6)
    assert torch.allclose(law.moved(before, law.loss(found)), before * factor, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x + 0.001,
        lambda x: x.index_fill(0, torch.tensor([7]), 0.2),
        lambda x: x * torch.linspace(0.9, 1, len(x))[:, None],
        lambda x: x * float("nan"),
        lambda x: x.flip(0),
    ],
)
def test_what_no_decay_does_has_no_witness(change):
    before = rows()
    assert law.of_change([(before, change(before))], before) is None


def test_rows_of_zeros_tell_nothing():
    zeros = torch.zeros(4, 3)
    assert law.of_change([(zeros, zeros)], zeros) is None
    assert law.of_change([], zeros) is None
