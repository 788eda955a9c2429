import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from lexigraft.data.batches import NOT_COUNTED, BucketedBatches, EncodedText, Turn
from lexigraft.data.encoded import Encoded
from lexigraft.data.mixed import JoinedTexts
from lexigraft.training.distributed.shares import (
    SharedTexts,
    count,
    labels_of,
    own_batches,
    own_texts,
    shared,
    weigh_of,
)

LENGTHS = [1, 2, 3, 4, 5]


def texts(targets=(0, 1, 2, 3, 4), **settings):
    encoded = Encoded.of([list(range(3, 3 + length)) for length in LENGTHS])
    return EncodedText(encoded, np.array(targets), pad_id=0, **settings)


def of_ranks(data, indices, ranks, **weighs):
    weighs = {"main": count, **weighs}
    return [SharedTexts(data, weighs, rank, ranks).__getitems__(indices) for rank in range(ranks)]


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_the_shares_of_a_batch_are_the_batch(ranks):
    parts = of_ranks(texts(), [4, 0, 3, 2, 1], ranks)
    assert sorted(i for part in parts for i in part["index"].tolist()) == [0, 1, 2, 3, 4]
    assert parts[0]["index"].tolist() == [4, 0, 3, 2, 1][::ranks]


@pytest.mark.parametrize("ranks", [2, 3, 7])
def test_shares_weigh_as_many_texts_as_they_have_and_one_on_average(ranks):
    parts = of_ranks(texts(), [4, 0, 3, 2, 1], ranks)
    has = [len(range(rank, 5, ranks)) for rank in range(ranks)]
    assert [part["loss_share"] for part in parts] == pytest.approx([n * ranks / 5 for n in has])
    assert [part["text_share"] for part in parts] == [part["loss_share"] for part in parts]
    assert sum(part["loss_share"] for part in parts) == pytest.approx(ranks)


def test_a_rank_without_a_text_sees_one_of_the_others_which_does_not_count():
    parts = of_ranks(texts(), [3], 3)
    assert [part["index"].tolist() for part in parts] == [[3], [3], [3]]
    assert [part["loss_share"] for part in parts] == [3.0, 0.0, 0.0]


def test_a_share_of_tokens_weighs_the_tokens_that_count():
    targets = [0] * 15
    targets[10:] = [NOT_COUNTED] * 4 + [1]  # of the last text one
    first, second = of_ranks(texts(targets, per_token=True), [4, 3, 0], 2)
    assert (first["loss_share"], second["loss_share"]) == (2 * 2 / 6, 2 * 4 / 6)


def test_a_task_may_weigh_its_labels_in_a_way_of_its_own():
    class Task:
        def weigh(self, labels):
            return float((labels + 1).sum())

    first, second = of_ranks(texts(), [0, 1, 3], 2, main=weigh_of(Task()))
    assert (first["loss_share"], second["loss_share"]) == (2 * 5 / 7, 2 * 2 / 7)
    assert (first["text_share"], second["text_share"]) == (4 / 3, 2 / 3)


def test_averaged_over_ranks_the_gradients_of_shares_are_those_of_the_whole():
    random = torch.Generator().manual_seed(0)
    inputs, weight = torch.randn(5, 4, generator=random), torch.randn(4, 5, generator=random, requires_grad=True)
    classes = torch.tensor([0.5, 3.0, 0.0, 1.0, 2.0])

    class Task:
        def weigh(self, labels):
            return float(classes[labels].sum())

    def gradient(batch):
        chosen, labels = inputs[batch["index"]] @ weight, batch["labels"]
        loss = shared(lambda: cross_entropy(chosen, labels, classes), chosen, batch.get("loss_share", 1.0))
        return torch.autograd.grad(loss, weight)[0]

    data = texts()
    whole = gradient(data.__getitems__([0, 1, 2, 3, 4]))
    for ranks in (2, 3, 5, 6):  # of five, one has the class that weighs nothing; of six, one has no text
        parts = of_ranks(data, [0, 1, 2, 3, 4], ranks, main=weigh_of(Task()))
        mean = torch.stack([gradient(part) for part in parts]).mean(0)
        assert torch.allclose(mean, whole, atol=1e-7)


def test_a_share_of_a_turn_keeps_what_tells_its_texts_apart():
    own = own_texts(Turn([5, 6, 5, 7, 5], 3, np.array([0, 0, 1, 0, 2])), 0, 2)
    assert (list(own), own.epoch, own.again.tolist()) == ([5, 5, 5], 3, [0, 1, 2])


def test_augmented_texts_are_the_same_whoever_has_them():
    seen = []

    def change(encoded, apart, epoch):
        seen.append((apart.tolist(), epoch))
        return encoded

    of_ranks(texts(change=change), Turn([4, 0, 3], 2), 2)
    assert seen == [([4, 3], 2), ([0], 2)]


def test_a_share_of_several_tasks_is_weighed_by_the_labels_of_its_own():
    joined = JoinedTexts([texts(), texts((9, 8, 7, 6, 5), task="other")])
    assert labels_of(joined, [6, 9]).tolist() == [8, 5]
    first, second = of_ranks(joined, Turn([6, 9, 5], 0), 2, other=lambda labels: float(labels.sum()))
    assert first["task"] == "other"
    assert first["labels"].tolist() == [8, 9]
    assert (first["loss_share"], second["loss_share"]) == (2 * 17 / 22, 2 * 5 / 22)


def test_ranks_take_the_same_number_of_steps_in_every_epoch():
    batches = BucketedBatches(np.ones(10, int), 4, seed=0)
    assert [len(batch) for batch in batches.batches(0)] != [4, 4, 4]
    for batch in batches.batches(1):
        assert [len(part["index"]) for part in of_ranks(EncodedText(
            Encoded.of([[3]] * 10), np.zeros(10, int), pad_id=0), batch, 2)] == [len(batch) // 2] * 2  # fmt: skip


def test_evaluation_is_shared_in_whole_batches_of_which_every_rank_has_one():
    batches = [[5, 4], [3, 2], [1]]
    assert [own_batches(batches, rank, 2) for rank in (0, 1)] == [[[5, 4], [1]], [[3, 2]]]
    assert [own_batches(batches[:1], rank, 3) for rank in (0, 1, 2)] == [[[5, 4]]] * 3
    assert own_batches([], 1, 2) == []


@pytest.mark.parametrize(
    ("labels", "expected"),
    [([1, 2, NOT_COUNTED], 2), ([[1.0, 0.0], [0.0, 0.0]], 2), ([0.5, -100.0], 2)],
    ids=["tags", "several", "numbers"],
)
def test_what_counts(labels, expected):
    assert count(torch.tensor(labels)) == expected
