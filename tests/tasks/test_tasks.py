"""What each task makes of labels and outputs (losses and metrics have tests of their own)."""

import numpy as np
import pytest
import torch

from lexigraft.data.batches import NOT_COUNTED, EncodedText, eval_loader
from lexigraft.data.encoded import Encoded
from lexigraft.data.encoding import encode_split
from lexigraft.data.text_data import Split
from lexigraft.tasks.inference import Seen, of_each_unit
from lexigraft.tasks.losses import BinaryCrossEntropy, CrossEntropy, Focal
from lexigraft.tasks.multilabel import MultiLabel
from lexigraft.tasks.number_losses import Corn, Cumulative, SquaredError
from lexigraft.tasks.ordinal import Ordinal
from lexigraft.tasks.regression import Regression
from lexigraft.tasks.tagging import Tagging
from lexigraft.vocab.tokenizer import Tokenizer

NO_TOKENS = Encoded.of([[1], [1], [1]])


def test_several_classes() -> None:
    task = MultiLabel(loss=BinaryCrossEntropy("balanced"), classes=("a", "b"), train=[(0,), (0, 1), ()])
    split = Split(["x", "y", "z"], [(0, 1), (), (1,)])
    targets = task.targets(split, NO_TOKENS)
    assert targets.tolist() == [[1, 1], [0, 0], [0, 1]]
    outputs = torch.tensor([[3.0, 1.0], [-2.0, 0.1], [-1.0, 4.0]])
    scores = task.scores(outputs)
    told = task.evaluate(scores, torch.from_numpy(targets))
    assert told["exact_match"] == pytest.approx(2 / 3, abs=1e-6)
    assert set(task.monitors) <= set(told)
    assert set(task.curves) <= set(told)
    assert task.answer("x", scores[1]) == {
        "text": "x", "labels": ["b"], "probabilities": {"a": 0.119203, "b": 0.524979},
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"task\.threshold is 1; a probability between 0 and 1"):
        MultiLabel(loss=BinaryCrossEntropy(), classes=("a", "b"), train=[()], threshold=1)


def test_numbers_are_learnt_in_standard_deviations_and_told_as_they_are() -> None:
    task = Regression(loss=SquaredError(), classes=(), train=[1000.0, 1200.0])
    labels = torch.from_numpy(task.targets(Split(["a"] * 3, [1000, 1100.0, 1300.0]), NO_TOKENS))
    assert labels.dtype == torch.float32
    right = torch.tensor([[-1.0], [0.0], [2.0]])
    assert task.loss(right, labels).item() == 0
    assert task.loss(torch.zeros(3, 1), labels).item() == pytest.approx(5 / 3)
    assert task.scores(right).tolist() == [1000.0, 1100.0, 1300.0]
    told = task.evaluate(torch.full((3,), 1100.0), labels)
    assert (told["loss"], told["mse"]) == (pytest.approx(5 / 3, abs=1e-6), pytest.approx(50000 / 3, rel=1e-5))
    assert told["pearson"] is None
    assert set(task.monitors) | set(task.curves) <= set(told)
    assert task.answer("x", torch.tensor(3.5)) == {"text": "x", "value": 3.5}
    assert task.outputs() == 1


@pytest.mark.parametrize("loss", [Corn(), Cumulative()])
def test_ranks_have_probabilities_whatever_the_outputs(loss: Corn | Cumulative) -> None:
    task = Ordinal(loss=loss, classes=("low", "middle", "high"), train=[0, 1, 2])
    outputs = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)) * 5
    scores = task.scores(outputs)
    assert torch.allclose(scores.sum(-1), torch.ones(50))
    assert (scores >= 0).all()
    told = task.evaluate(scores, torch.arange(50) % 3)
    assert set(task.monitors) | set(task.curves) <= set(told)
    answer = task.answer("x", torch.tensor([0.3, 0.3, 0.4]))
    assert answer["label"] == "middle"  # the median
    assert task.outputs() == 2


TAGS = ("B-PER", "I-PER", "O")
TEXTS = Split(["the film is very good", "hotel", "the story"], [(0, 1, 2, 2, 0), (0,), (2, 2)])


def tagging(loss: CrossEntropy | Focal | None = None) -> Tagging:
    return Tagging(loss=loss or CrossEntropy(), classes=TAGS, train=TEXTS.labels)


def seen(task: Tagging, encoded: Encoded, pad_id: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """What a model that is always right makes `evaluate` see, in batches of two texts from the longest."""
    texts = EncodedText(encoded, task.targets(TEXTS, encoded), pad_id=pad_id, per_token=True)
    found = Seen(per_token=True)
    for batch in eval_loader(texts, batch_size=2):
        right = batch["labels"].clamp(min=0)
        found.add(torch.nn.functional.one_hot(right, 3).float() * 0.8 + 0.1, batch)
    return found.in_order()


def test_tags_stand_at_first_tokens(wordpiece: Tokenizer) -> None:
    encoded = encode_split(wordpiece, TEXTS, "tags")
    targets = tagging().targets(TEXTS, encoded)
    assert targets[encoded.units >= 0].tolist() == [0, 1, 2, 2, 0, 0, 2, 2]
    assert (targets[encoded.units < 0] == NOT_COUNTED).all()
    told = tagging().evaluate(*seen(tagging(), encoded, wordpiece.pad_id))
    assert (told["f1"], told["accuracy"], told["count"], told["texts"]) == (1.0, 1.0, 8, 3)
    assert told["entities"] == 3  # PER of two words, and one at the end of a text and the start of the next


def test_units_that_were_cut_count_as_wrong(wordpiece: Tokenizer) -> None:
    encoded = encode_split(wordpiece, TEXTS, "tags", 5)  # [CLS], three words, [SEP]
    task = tagging()
    told = task.evaluate(*seen(task, encoded, wordpiece.pad_id))
    assert (told["count"], told["without_tag"], told["accuracy"]) == (8, 2, 0.75)
    assert (told["precision"], told["recall"]) == (1.0, 0.666667)
    assert told["loss"] == pytest.approx(-np.log(0.9), abs=1e-6)  # of the units that have a token


def test_tags_are_told_unit_by_unit(wordpiece: Tokenizer) -> None:
    encoded = encode_split(wordpiece, TEXTS, "tags", 5)
    task = tagging()
    scores, _, _ = seen(task, encoded, wordpiece.pad_id)
    rows = of_each_unit(scores, encoded, TEXTS)
    assert [len(row) for row in rows] == [5, 1, 2]
    assert task.answer(TEXTS.texts[0], rows[0]) == {
        "text": "the film is very good",
        "tags": ["B-PER", "I-PER", "O", None, None],
        "entities": [{"type": "PER", "start": 0, "end": 2, "units": ["the", "film"]}],
    }
    speech = Tagging(loss=CrossEntropy(), classes=("NN", "VV"), train=[(0, 1)])
    assert speech.answer("a", torch.tensor([[0.2, 0.8]])) == {"text": "a", "tags": ["VV"]}


@pytest.mark.parametrize("loss", [CrossEntropy(label_smoothing=0.1, class_weights="balanced"), Focal(alpha="balanced")])
def test_the_loss_of_tags_is_that_of_the_counted_tokens(loss: CrossEntropy | Focal) -> None:
    task = tagging(loss)
    outputs = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.tensor([[NOT_COUNTED, 0, 2, NOT_COUNTED], [1, NOT_COUNTED, NOT_COUNTED, NOT_COUNTED]])
    found = task.loss(outputs, labels)
    counts = np.array([3, 1, 4])
    flat = torch.stack([outputs[0, 1], outputs[0, 2], outputs[1, 0]])
    assert found.item() == pytest.approx(loss.for_classes(TAGS, counts, 8)(flat, torch.tensor([0, 2, 1])).item())
    nothing = task.loss(outputs, torch.full((2, 4), NOT_COUNTED))
    nothing.backward()
    assert nothing.item() == 0
    assert outputs.grad is not None
    assert not outputs.grad.any()


def test_what_chooses_the_best_epoch_depends_on_the_tags() -> None:
    assert tagging().monitors[0] == "f1"
    assert Tagging(loss=CrossEntropy(), classes=("NN", "VV"), train=[(0, 1)]).monitors[:2] == ("accuracy", "macro_f1")
    with pytest.raises(ValueError, match="did training diverge"):
        tagging().evaluate(torch.full((1, 3), torch.nan), torch.tensor([0]), torch.tensor([1]))
