import numpy as np
import pytest
import torch

from lexigraft.models.active import activate, full_rows
from lexigraft.training.finetune.rates import optimizer_groups
from lexigraft.training.finetune.transfer import Transfer, new_rows
from lexigraft.transplant.filling import Combination
from lexigraft.transplant.provenance import ProvenanceBuilder
from tests.models.test_classifier import VOCABULARY, classifier
from tests.training.finetune.steps import moved, named, optimizer_of, step

PAD, NEW = 0, [3, 4, 39]
MADE = torch.zeros(VOCABULARY, dtype=torch.bool).index_fill_(0, torch.tensor([PAD, *NEW]), True)
COPIED = sorted({*range(VOCABULARY)} - {PAD, *NEW})
HEAD = ("pooling.", "heads.")


def moved_rows(model, strategy, epoch, optimizer):
    """Ids of the rows that are others after a step in that epoch."""
    before = full_rows(model.embedding).clone()
    step(model, strategy, epoch, optimizer)
    return (full_rows(model.embedding) != before).any(1).nonzero().flatten().tolist()


@pytest.mark.parametrize("encoder", ["textcnn", "transformer", "bert", "gpt2"])
@pytest.mark.parametrize(("rows", "chosen"), [("new", NEW), ("transplanted", COPIED)])
def test_chosen_rows_first_then_everything(encoder, rows, chosen):
    model, strategy = classifier(encoder, "attention", project_to=16), Transfer(rows=rows, epochs=2)
    strategy.prepare(model, MADE)
    optimizer = optimizer_of(model, strategy)
    assert [moved_rows(model, strategy, epoch, optimizer) for epoch in (0, 1)] == [chosen, chosen]
    assert moved(model, strategy, 1, optimizer) == named(model, "embedding.lookup.", *HEAD)
    assert moved_rows(model, strategy, 2, optimizer) == sorted({*NEW, *COPIED})
    assert moved(model, strategy, 3, optimizer) == named(model, "")


@pytest.mark.parametrize("optimizer", ["SGD", "RMSprop", "Adam", "AdamW", "Adagrad", "Adadelta", "Adafactor"])
def test_no_optimizer_moves_the_other_rows(optimizer):
    model, strategy = classifier("textcnn", "mean"), Transfer()
    strategy.prepare(model, MADE)
    settings = {"momentum": 0.9, "nesterov": True} if optimizer == "SGD" else {}
    made = getattr(torch.optim, optimizer)(optimizer_groups(model, strategy, 0.1, epochs=2), lr=0.01, **settings)
    before = model.embedding.lookup.weight.detach().clone()
    for _ in range(3):
        step(model, strategy, 0, made)
    assert (model.embedding.lookup.weight != before).any(1).nonzero().flatten().tolist() == NEW


def test_active_rows_are_masked_by_their_ids():
    full, active = classifier("textcnn", "mean"), classifier("textcnn", "mean")
    activate(active.embedding, torch.arange(1, VOCABULARY - 1))
    ids = torch.arange(1, 31).reshape(2, 15)
    for model in (full, active):
        strategy = Transfer()
        strategy.prepare(model, MADE)
        optimizer = optimizer_of(model, strategy)
        before = full_rows(model.embedding).clone()
        for epoch, changed in ((0, [3, 4]), (1, list(range(1, 31)))):
            strategy.apply(model, epoch)
            optimizer.zero_grad()
            model(ids, torch.ones(2, 15, dtype=torch.bool))[:, 0].sum().backward()
            optimizer.step()
            assert (full_rows(model.embedding) != before).any(1).nonzero().flatten().tolist() == changed
    assert torch.equal(full_rows(full.embedding), full_rows(active.embedding))


def test_the_first_phase_starts_anew_with_another_model():
    """As where several transplants are tried one after another."""
    strategy = Transfer()
    for made in (MADE, ~MADE):
        model = classifier("textcnn", "mean")
        strategy.prepare(model, made)
        optimizer = optimizer_of(model, strategy)
        assert moved_rows(model, strategy, 0, optimizer) == (NEW if made is MADE else COPIED)


def test_which_rows_are_new():
    builder = ProvenanceBuilder(6)
    for i, tier in enumerate(("role", "exact", "surface", "normalised")):
        builder.combine(tier, np.array([i]), Combination.copies_of(np.array([i])))
    builder.name("padding", np.array([4]))
    builder.name("normal", np.array([5]))
    assert new_rows(builder.build()).tolist() == [False, False, False, False, True, True]


def test_word_rows_that_decay_are_refused():
    strategy = Transfer()
    with pytest.raises(ValueError, match="trainer.decay_embeddings=true would shrink the rows that finetune=transfer"):
        optimizer_groups(classifier("textcnn", "mean"), strategy, 0.1, epochs=2, decay_embeddings=True)


def test_a_transplant_without_such_rows_is_refused():
    model = classifier("textcnn", "mean")
    with pytest.raises(ValueError, match="finetune.rows=new has no rows to train, as the transplant copied every row"):
        Transfer().prepare(model, torch.zeros(VOCABULARY, dtype=torch.bool))
    with pytest.raises(ValueError, match="finetune.rows=transplanted has no rows to train.*copied no row"):
        Transfer(rows="transplanted").prepare(model, torch.ones(VOCABULARY, dtype=torch.bool))


def test_no_epoch_is_refused():
    with pytest.raises(ValueError, match="finetune.epochs=0: give at least 1 epoch"):
        Transfer(epochs=0)


def test_a_trained_model_needs_no_rows():
    model = classifier("textcnn", "mean")
    Transfer().prepare(model)
    assert all(p.requires_grad for p in model.parameters())
