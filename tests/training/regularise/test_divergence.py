import pytest
import torch
from torch.distributions import Bernoulli, Categorical, kl_divergence

from lexigraft.data.batches import NOT_COUNTED
from lexigraft.tasks.classification import Classification
from lexigraft.tasks.losses import BinaryCrossEntropy, CrossEntropy
from lexigraft.tasks.multilabel import MultiLabel
from lexigraft.tasks.number_losses import Corn, SquaredError
from lexigraft.tasks.ordinal import Ordinal
from lexigraft.tasks.regression import Regression
from lexigraft.tasks.tagging import Tagging
from lexigraft.training.regularise.divergence import divergence

P, Q = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 1])
CLASSES = ("a", "b", "c")


def symmetric(p, q):
    return (kl_divergence(p, q) + kl_divergence(q, p)) / 2


def test_one_class():
    task = Classification(loss=CrossEntropy(), classes=CLASSES, train=[0, 1, 2])
    expected = symmetric(Categorical(logits=P), Categorical(logits=Q)).mean()
    assert divergence(task, P, Q, LABELS).item() == pytest.approx(expected.item(), rel=1e-5)


def test_several_classes():
    task = MultiLabel(loss=BinaryCrossEntropy(), classes=CLASSES, train=[(0,), (1, 2)])
    expected = symmetric(Bernoulli(logits=P), Bernoulli(logits=Q)).sum(dim=1).mean()
    assert divergence(task, P, Q, LABELS).item() == pytest.approx(expected.item(), rel=1e-5)


def test_numbers():
    task = Regression(loss=SquaredError(), classes=(), train=[1.0, 2.0])
    normal = torch.distributions.Normal
    expected = symmetric(normal(P[:, :1], 1.0), normal(Q[:, :1], 1.0)).mean()
    assert divergence(task, P[:, :1], Q[:, :1], LABELS).item() == pytest.approx(expected.item(), rel=1e-5)


def test_ranks():
    task = Ordinal(loss=Corn(), classes=CLASSES, train=[0, 1, 2])
    p, q = (Categorical(probs=task.scores(outputs[:, :2])) for outputs in (P, Q))
    found = divergence(task, P[:, :2], Q[:, :2], LABELS)
    assert found.item() == pytest.approx(symmetric(p, q).mean().item(), rel=1e-5)


def test_of_tokens_those_that_count():
    task = Tagging(loss=CrossEntropy(), classes=CLASSES, train=[(0, 1), (2,)])
    p, q = P.reshape(2, 2, 3), Q.reshape(2, 2, 3)
    labels = torch.tensor([[0, NOT_COUNTED], [2, 1]])
    each = symmetric(Categorical(logits=P), Categorical(logits=Q))
    assert divergence(task, p, q, labels).item() == pytest.approx(each[[0, 2, 3]].mean().item(), rel=1e-5)
    assert divergence(task, p, q, torch.full((2, 2), NOT_COUNTED)).item() == 0


def test_extreme_outputs_stay_finite():
    task = Classification(loss=CrossEntropy(), classes=CLASSES, train=[0, 1, 2])
    sure = torch.tensor([[200.0, -200.0, 0.0]], requires_grad=True)
    found = divergence(task, sure, -sure, LABELS[:1])
    found.backward()
    assert found.isfinite()
    assert sure.grad.isfinite().all()
