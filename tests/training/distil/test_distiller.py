from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import mse_loss

from lexigraft.data.batches import EncodedText
from lexigraft.data.encoded import Encoded
from lexigraft.models.classifier import Head
from lexigraft.tasks.losses import BinaryCrossEntropy
from lexigraft.tasks.multilabel import MultiLabel
from lexigraft.tasks.number_losses import SquaredError
from lexigraft.tasks.regression import Regression
from lexigraft.training.distil.answers import Answers
from lexigraft.training.distil.distiller import Distiller, places, told
from lexigraft.training.regularise.mixup import Mixup
from lexigraft.training.step import Step
from tests.training.regularise.steps import TEXTS, model, step

ANSWERS = Answers(
    outputs=torch.randn(4, 3, generator=torch.Generator().manual_seed(1)),
    hidden=5 * torch.randn(4, 7, generator=torch.Generator().manual_seed(2)) + 3,
    vectors=torch.randn(4, 2, generator=torch.Generator().manual_seed(3)),
)


def started(of, **settings):
    distiller = Distiller(ANSWERS, **settings)
    distiller.start(of)
    return distiller


def test_the_loss_is_shared_between_labels_and_the_teacher_s_tempered_predictions():
    made = step()
    total = made.loss + started(made.model, alpha=0.3, temperature=4.0).term(made)
    teacher, student = (torch.distributions.Categorical(logits=o / 4) for o in (ANSWERS.outputs, made.outputs))
    taught = 16 * torch.distributions.kl_divergence(teacher, student).mean()
    assert total.item() == pytest.approx((0.7 * made.loss + 0.3 * taught).item(), rel=1e-5)


def test_a_student_that_says_what_the_teacher_says_has_nothing_to_learn():
    made = step()
    distiller = Distiller(Answers(outputs=made.outputs.detach()), alpha=1.0, temperature=3.0)
    assert (made.loss + distiller.term(made)).item() == pytest.approx(0, abs=1e-6)


def test_answers_are_found_by_the_texts_places():
    made, of = step(), model()
    shuffled = EncodedText(Encoded.of(TEXTS), [0, 1, 2, 1], pad_id=0).__getitems__([2, 0, 3, 1])
    other = Step.of(of, made.task, shuffled)
    terms = [started(made.model, alpha=1.0).term(each) + each.loss for each in (made, other)]
    assert terms[0].item() == pytest.approx(terms[1].item(), rel=1e-6)


def test_hidden_states_and_word_vectors_are_compared_in_units_of_the_teacher_s_variance():
    made = step()
    distiller = started(made.model, alpha=0.0, hidden=2.0, embeddings=0.5)
    term = distiller.term(made)
    expected = 0.0
    for weight, answers, states, mapping in (
        (2.0, ANSWERS.hidden, made.features, distiller.hidden_map),
        (0.5, ANSWERS.vectors, made.vectors, distiller.embedding_map),
    ):
        mean = torch.stack([text[kept].mean(dim=0) for text, kept in zip(states, made.mask)])
        wanted = answers - answers.mean(dim=0)
        expected += weight * mse_loss(mapping(mean), wanted / wanted.square().mean().sqrt())
    assert term.item() == pytest.approx(expected.item(), rel=1e-5)
    with torch.no_grad():
        for parameter in distiller.parameters():
            parameter.zero_()
    assert distiller.term(made).item() == pytest.approx(2.5, rel=1e-5)


def test_maps_are_trained_with_the_model():
    made = step()
    distiller = started(made.model, alpha=0.0, hidden=1.0, embeddings=1.0)
    distiller.term(made).backward()
    assert {name for name, _ in distiller.named_parameters()} == {
        "hidden_map.weight", "hidden_map.bias", "embedding_map.weight", "embedding_map.bias"
    }  # fmt: skip
    assert all(p.grad.abs().sum() > 0 for p in distiller.parameters())
    assert made.model.embedding.lookup.weight.grad.abs().sum() > 0
    assert not started(made.model, alpha=1.0).state_dict()


def test_several_classes_at_once():
    labels = [(0,), (), (0, 2), (1,)]
    task = MultiLabel(loss=BinaryCrossEntropy(), classes=("a", "b", "c"), train=labels)
    targets = torch.tensor([[1.0, 0, 0], [0, 0, 0], [1, 0, 1], [0, 1, 0]])
    made = Step.of(model(), task, EncodedText(Encoded.of(TEXTS), targets, pad_id=0).__getitems__([0, 1, 2, 3]))
    total = made.loss + Distiller(ANSWERS, alpha=1.0, temperature=2.0).term(made)
    teacher, student = (torch.distributions.Bernoulli(logits=o / 2) for o in (ANSWERS.outputs, made.outputs))
    assert total.item() == pytest.approx(
        4 * torch.distributions.kl_divergence(teacher, student).sum(dim=1).mean().item(), rel=1e-5
    )


def test_numbers_take_the_place_of_labels():
    of = model()
    of.heads["main"] = torch.nn.Linear(10, Head(1).outputs)
    task = Regression(loss=SquaredError(), classes=(), train=[1.0, 2.0, 3.0, 5.0])
    made = Step.of(of, task, EncodedText(Encoded.of(TEXTS), [1.0, 2.0, 3.0, 5.0], pad_id=0).__getitems__([0, 1, 2, 3]))
    wanted = torch.tensor([2.0, 2.0, 4.0, 4.0])
    total = made.loss + Distiller(Answers(outputs=wanted[:, None]), alpha=1.0).term(made)
    assert total.item() == pytest.approx(task.loss(made.outputs, wanted).item(), rel=1e-5)
    assert torch.equal(told(task, made.outputs)[:, 0], task.scores(made.outputs))


def test_other_heads_are_not_taught():
    made = step()
    assert started(made.model).term(replace(made, batch={**made.batch, "task": "other"})) is None


def test_mixed_texts_are_refused():
    made = step()
    with pytest.raises(ValueError, match=r"regularise=\[mixup\] makes texts that no teacher has read: leave it out"):
        started(made.model).term(Mixup(1.0).change(made))


def test_copies_share_the_answers():
    distiller = started(model(), alpha=1.0)
    assert deepcopy(distiller)._answers is distiller._answers


def test_classes_are_matched_by_name():
    assert places(("a", "b", "c"), ("c", "a", "b"), "the teacher") == [1, 2, 0]
    with pytest.raises(ValueError, match=r"the run x tells the classes a, d, but the data set has a, b: choose a"):
        places(("a", "b"), ("a", "d"), "the run x")
