"""The mean of the gradients of all ranks' shares is the gradient of the whole batch, whatever the loss."""

import numpy as np
import pytest
import torch

from lexigraft.data.batches import NOT_COUNTED, EncodedText
from lexigraft.data.encoded import Encoded
from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.encoders import Identity
from lexigraft.models.pooling import Mean
from lexigraft.tasks.classification import Classification
from lexigraft.tasks.losses import BinaryCrossEntropy, CrossEntropy, Focal
from lexigraft.tasks.multilabel import MultiLabel
from lexigraft.tasks.number_losses import Corn, Cumulative, Huber, SquaredError
from lexigraft.tasks.ordinal import Ordinal
from lexigraft.tasks.regression import Regression
from lexigraft.tasks.tagging import Tagging
from lexigraft.training.distil.answers import Answers
from lexigraft.training.distil.distiller import Distiller
from lexigraft.training.distributed.shares import SharedTexts, weigh_of
from lexigraft.training.regularise.adversarial import FGM, PGD
from lexigraft.training.regularise.l2_to_source import L2ToSource
from lexigraft.training.regularise.rdrop import RDrop
from lexigraft.training.step import Step

LENGTHS = [1, 2, 3, 4, 5, 2, 7]
CLASSES = ("a", "b", "c")
LABELS = [0, 1, 2, 2, 1, 0, 2]
SEVERAL = [(0,), (), (1, 2), (2,), (0, 1, 2), (), (1,)]
RANDOM = np.random.default_rng(0)
TAGS = RANDOM.integers(0, 3, sum(LENGTHS))
NOTHING = np.where(np.repeat(np.arange(7), LENGTHS) % 2 == 0, NOT_COUNTED, TAGS)  # in every other text none counts


def classes(loss):
    return Classification(loss=loss, classes=CLASSES, train=LABELS), LABELS


def tags(loss, targets=TAGS):
    return Tagging(loss=loss, classes=CLASSES, train=[LABELS]), targets


def ranks(loss):
    return Ordinal(loss=loss, classes=CLASSES, train=LABELS), LABELS


def numbers(loss):
    return Regression(loss=loss, classes=(), train=LABELS), np.array(LABELS, np.float32)


def several(loss):
    told = np.array([[i in each for i in range(3)] for each in SEVERAL], np.float32)
    return MultiLabel(loss=loss, classes=CLASSES, train=SEVERAL), told


CASES = {
    "cross-entropy": classes(CrossEntropy()),
    "weighted": classes(CrossEntropy(label_smoothing=0.1, class_weights=[1.0, 5.0, 2.0])),
    "a class that weighs nothing": classes(CrossEntropy(class_weights=[1.0, 5.0, 0.0])),
    "focal": classes(Focal(alpha=[1.0, 5.0, 2.0])),
    "tags": tags(CrossEntropy(class_weights="balanced")),
    "tags of few texts": tags(CrossEntropy(), NOTHING),
    "focal tags": tags(Focal(), NOTHING),
    "corn": ranks(Corn()),
    "cumulative": ranks(Cumulative()),
    "squared": numbers(SquaredError()),
    "huber": numbers(Huber()),
    "several": several(BinaryCrossEntropy(pos_weight="balanced")),
}
ANSWERS = Answers(torch.randn(7, 3, generator=torch.Generator().manual_seed(2)), torch.randn(7, 4), torch.randn(7, 5))
TERMS = {
    "none": lambda: None,
    "fgm": lambda: FGM(epsilon=0.5),
    "pgd": lambda: PGD(epsilon=0.5),
    "rdrop": lambda: RDrop(),
    "l2": lambda: L2ToSource(0.1),
}


def gradients(case, term, count):
    """Of every weight, the mean over so many ranks."""
    task, targets = CASES[case]
    torch.manual_seed(0)
    head = {"main": Head(task.outputs(), per_token=task.per_token)}
    model = Classifier(TransplantedEmbedding(torch.randn(20, 6), 0), Identity(6), Mean(6), head)
    ids = np.random.default_rng(1)
    encoded = Encoded.of([ids.integers(1, 20, length).tolist() for length in LENGTHS])
    data = EncodedText(encoded, targets, pad_id=0, per_token=task.per_token)
    if term is not None:
        term.start(model)
        with torch.no_grad():
            model.embedding.lookup.weight += 0.1
        model.add_module("of_term", term)
    for rank in range(count):
        batch = SharedTexts(data, {"main": weigh_of(task)}, rank, count).__getitems__([3, 0, 6, 2, 1, 5, 4])
        step = Step.of(model, task, batch)
        if isinstance(term, RDrop):  # without dropout both passes would be one
            step.run = lambda vectors, run=step.run: run(vectors * torch.linspace(0.5, 1.5, 6))
        loss = step.loss if term is None else step.loss + term.term(step)
        (loss / count).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def assert_same(case, make):
    whole = gradients(case, make(), 1)
    assert any(gradient.abs().max() > 1e-3 for gradient in whole.values())
    for count in (2, 3, 8):  # of eight ranks one has no text
        found = gradients(case, make(), count)
        for name, gradient in whole.items():
            assert torch.allclose(found[name], gradient, atol=1e-6), (count, name)


@pytest.mark.parametrize("case", CASES)
def test_of_every_loss(case):
    assert_same(case, TERMS["none"])


@pytest.mark.parametrize("case", ["weighted", "tags of few texts", "several"])
@pytest.mark.parametrize("term", ["fgm", "pgd", "rdrop", "l2"])
def test_with_what_is_added_to_it(case, term):
    assert_same(case, TERMS[term])


@pytest.mark.parametrize("case", ["weighted", "cumulative"])
def test_with_a_teacher(case):
    answers = (
        ANSWERS if case == "weighted" else Answers(ANSWERS.outputs.log_softmax(-1), ANSWERS.hidden, ANSWERS.vectors)
    )
    assert_same(case, lambda: Distiller(answers, hidden=0.5, embeddings=0.5))
