import pytest
import torch

from lexigraft.models.active import activate
from lexigraft.training.regularise.l2_to_source import L2ToSource
from tests.training.regularise.steps import model, step


def moved(of, by=0.1):
    with torch.no_grad():
        of.embedding.lookup.weight[1:] += by * torch.arange(1, 9)[:, None]


def test_the_gradient_is_twice_the_weighted_distance_from_the_start():
    of, pull = model(), L2ToSource(0.5)
    source = of.embedding.lookup.weight.detach().clone()
    pull.start(of)
    moved(of)
    term = pull.term(step(of))
    apart = of.embedding.lookup.weight.detach() - source
    assert term.item() == pytest.approx(0.5 * (apart**2).sum().item(), rel=1e-6)
    term.backward()
    assert torch.allclose(of.embedding.lookup.weight.grad, 2 * 0.5 * apart)


def test_nothing_is_pulled_at_the_start():
    of, pull = model(), L2ToSource(0.5)
    pull.start(of)
    assert pull.term(step(of)).item() == 0


def test_made_rows_can_be_left_free():
    of, pull = model(), L2ToSource(0.5, rows="copied")
    made = torch.tensor([False, True, True, False, False, False, False, False, True])
    pull.start(of, made)
    moved(of)
    pull.term(step(of)).backward()
    pulled = of.embedding.lookup.weight.grad.abs().sum(dim=1) > 0
    assert pulled.tolist() == [False, False, False, True, True, True, True, True, False]


@pytest.mark.parametrize("rows", ["all", "copied"])
def test_active_rows_are_pulled_as_they_are_in_the_whole_matrix(rows):
    made = torch.tensor([False, True, True, False, False, False, False, False, True])
    gradients = []
    for ids in (None, torch.tensor([1, 3, 4, 6])):
        of, pull = model(), L2ToSource(0.5, rows)
        if ids is not None:
            activate(of.embedding, ids)
        pull.start(of, made)
        with torch.no_grad():
            of.embedding.lookup.weight *= 1.5
        pull.term(step(of, [[1, 3, 4], [6], [4, 4], [3, 1]])).backward()
        gradients.append(of.embedding.lookup.weight.grad)
    assert torch.equal(gradients[0][[0, 1, 3, 4, 6]], gradients[1])


def test_frozen_rows_have_no_term():
    of, pull = model(), L2ToSource()
    pull.start(of)
    of.embedding.requires_grad_(False)
    assert pull.term(step(of)) is None


def test_the_source_is_no_weight_of_a_checkpoint():
    pull = L2ToSource()
    pull.start(model())
    assert not pull.state_dict()


def test_senseless_settings_are_refused():
    with pytest.raises(ValueError, match=r"regularise\.l2_to_source\.weight=0 was given; a number above 0"):
        L2ToSource(0)
    with pytest.raises(ValueError, match=r"rows=copied was given, but it is not known which rows .*: use rows=all"):
        L2ToSource(rows="copied").start(model())
