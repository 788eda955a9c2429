import pytest
import torch
from torch.nn import functional as F

from lexigraft.training.pretraining import said
from lexigraft.training.pretraining.said import asked, word_loss, word_sums

LABELS = torch.tensor([[-100, 3, -100], [0, -100, 2]])
LOGITS = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))


def test_places_are_counted_through_the_rows():
    places, words = asked({"labels": LABELS})
    assert places.tolist() == [1, 3, 5]
    assert words.tolist() == [3, 0, 2]
    given = torch.tensor([1])
    assert asked({"labels": LABELS, "places": given})[1].tolist() == [3]


@pytest.mark.parametrize("largest", [2**28, 10])
def test_loss_and_sums_are_those_of_all_places_however_many_are_computed_at_once(monkeypatch, largest):
    monkeypatch.setattr(said, "_LARGEST", largest)
    logits = LOGITS.clone().requires_grad_()
    places, words = asked({"labels": LABELS})
    expected = F.cross_entropy(logits[places], words)
    (gradient,) = torch.autograd.grad(expected, logits)
    loss = word_loss(lambda some: logits[some], places, words, size=5)
    assert torch.allclose(loss, expected)
    assert torch.allclose(torch.autograd.grad(loss, logits)[0], gradient)
    total, count, right = word_sums(lambda some: logits[some], places, words, size=5).tolist()
    assert total == pytest.approx(float(expected) * 3, rel=1e-6)
    assert (count, right) == (3, float((logits[places].argmax(1) == words).sum()))


def test_nothing_asked_for_is_zero_and_no_nan():
    logits = LOGITS.clone().requires_grad_()
    none = torch.zeros(0, dtype=torch.long)
    loss = word_loss(lambda some: logits[some], none, none, size=5)
    loss.backward()
    assert float(loss) == 0
    assert not logits.grad.any()
    assert word_sums(lambda some: logits[some], none, none, size=5).tolist() == [0, 0, 0]
    assert word_sums(lambda some: logits[some], none, none, size=5).dtype == torch.float64
