import math
from collections import Counter

import pytest
import torch
from torch.nn import functional as F

from lexigraft.data.pretraining.masking import Masking
from lexigraft.models.language_replaced import ReplacedModel
from lexigraft.training.pretraining.objectives import Causal, Masked, Replaced, drawn
from tests.models.languages import SIZE, ours, replaced

IDS = torch.tensor([[2, 5, 6, 3], [2, 9, 3, 0]])
LABELS = torch.tensor([[-100, 7, -100, -100], [-100, 9, -100, -100]])
BATCH = {
    "input_ids": IDS, "mask": IDS > 0, "labels": LABELS, "index": torch.tensor([4, 1]), "task": "main",
}  # fmt: skip


def test_an_objective_is_the_exercise_of_the_data_too():
    assert isinstance(Masked(rate=0.3), Masking)
    assert Masked(rate=0.3).rate == 0.3
    assert (Replaced().random, Replaced().keep, Replaced().weight) == (0, 0, 50)
    assert [each.kind for each in (Masked(), Causal(), Replaced())] == ["masked", "causal", "replaced"]


@pytest.mark.parametrize(("objective", "family"), [(Masked(), "bert"), (Causal(), "gpt2")])
def test_the_loss_is_the_mean_cross_entropy_of_the_words_asked_for(objective, family):
    model = ours(family)
    logits = model(IDS, BATCH["mask"], torch.tensor([1, 5]))
    expected = F.cross_entropy(logits, torch.tensor([7, 9])).detach()
    assert torch.allclose(objective.loss(model, BATCH), expected)
    assert torch.allclose(objective.loss(model, {**BATCH, "loss_share": 0.5}), expected / 2)
    with torch.no_grad():
        sums = objective.measured(model, BATCH).tolist()
    assert sums[0] == pytest.approx(2 * float(expected), rel=1e-5)
    assert sums[1] == 2
    metrics = objective.metrics(sums, tokens_per_byte=0.25)
    assert metrics["loss"] == pytest.approx(float(expected), rel=1e-5)
    assert metrics["bits_per_byte"] == pytest.approx(metrics["loss"] / math.log(2) / 4)
    assert metrics["accuracy"] == float((logits.argmax(1) == torch.tensor([7, 9])).float().mean())
    assert set(objective.monitors) == set(metrics)


def test_packed_rows_give_the_loss_of_the_documents_apart():
    model, objective = ours("bert"), Masked()
    packed = {
        "input_ids": torch.tensor([[2, 5, 6, 3, 2, 9, 3]]),
        "mask": torch.ones(1, 7, dtype=torch.bool),
        "labels": torch.tensor([[-100, 7, -100, -100, -100, 9, -100]]),
        "documents": torch.tensor([[0, 0, 0, 0, 1, 1, 1]]),
        "positions": torch.tensor([[0, 1, 2, 3, 0, 1, 2]]),
        "index": torch.tensor([0]), "task": "main",
    }  # fmt: skip
    assert torch.allclose(objective.loss(model, packed), objective.loss(model, BATCH), atol=1e-5)
    tiny = replaced()
    assert torch.allclose(
        tiny.suspicion(*(packed[k] for k in ("input_ids", "mask", "documents", "positions")))[0],
        tiny.suspicion(IDS, BATCH["mask"]).flatten()[:7], atol=1e-5,
    )  # fmt: skip


class Fixed(ReplacedModel):
    """A tiny ELECTRA whose generator is certain of a word."""

    def guesses(self, input_ids, mask, places, documents=None, positions=None):
        sure = torch.full((len(places), SIZE), -100.0)
        sure[:, 9] = 100
        return sure


def test_the_loss_of_replaced_tokens():
    model = replaced()
    model.__class__ = Fixed  # draws the word 9: at the first place another one's, at the second its own
    doubts = model.suspicion(torch.tensor([[2, 9, 6, 3], [2, 9, 3, 0]]), BATCH["mask"])
    wrong = torch.tensor([[0.0, 1, 0, 0], [0, 0, 0, 0]])
    tokens = BATCH["mask"]
    expected = F.binary_cross_entropy_with_logits(doubts[tokens], wrong[tokens])
    of_words = float(F.cross_entropy(model.guesses(None, None, torch.arange(2)), torch.tensor([7, 9])))
    objective = Replaced(weight=3.0)
    assert objective.loss(model, BATCH).item() == pytest.approx(of_words + 3 * expected.item(), rel=1e-6)
    shared = objective.loss(model, {**BATCH, "loss_share": 0.5, "token_share": 0.1})
    assert shared.item() == pytest.approx(of_words / 2 + 0.3 * expected.item(), rel=1e-6)
    metrics = objective.metrics(objective.measured(model, BATCH).tolist(), tokens_per_byte=1.0)
    assert metrics["replaced_loss"] == pytest.approx(expected.item(), rel=1e-6)
    assert metrics["replaced_accuracy"] == pytest.approx(float(((doubts > 0) == wrong.bool())[tokens].float().mean()))
    assert metrics["accuracy"] == 0.5
    assert metrics["loss"] == pytest.approx(of_words, rel=1e-6)
    assert set(objective.monitors) == set(metrics)


def test_drawing_in_an_evaluation_is_the_same_each_time_and_leaves_the_global_stream_alone():
    model, objective = replaced(), Replaced()
    state = torch.random.get_rng_state()
    first = objective.measured(model, BATCH)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(99)
    assert torch.equal(objective.measured(model, BATCH), first)
    objective.loss(model, BATCH)
    assert not torch.equal(torch.random.get_rng_state(), torch.Generator().manual_seed(99).get_state())


def test_the_generator_learns_nothing_from_the_discriminator():
    model = replaced()
    torch.manual_seed(0)
    Replaced(weight=1.0).loss(model, BATCH).backward()
    of_both = model.heads["generator"].encoder.backbone.encoder.layer[0].output.dense.weight.grad.clone()
    model.zero_grad()
    torch.manual_seed(0)
    Replaced(weight=1e4).loss(model, BATCH).backward()
    assert torch.equal(model.heads["generator"].encoder.backbone.encoder.layer[0].output.dense.weight.grad, of_both)


def test_words_are_drawn_as_often_as_they_are_likely():
    chances = torch.tensor([0.0, 0.2, 0.0, 0.5, 0.3])
    found = Counter(drawn(chances.log().expand(20000, 5), torch.Generator().manual_seed(0)).tolist())
    assert {word: count / 20000 for word, count in found.items()} == {
        word: pytest.approx(chance, abs=0.01) for word, chance in ((1, 0.2), (3, 0.5), (4, 0.3))
    }


def test_no_word_asked_for_is_not_a_number():
    assert math.isnan(Masked().metrics([0.0, 0.0, 0.0], 1.0)["loss"])


def test_a_weight_that_is_no_factor():
    with pytest.raises(ValueError, match=r"objective\.weight=0: a factor above 0 is expected"):
        Replaced(weight=0)
