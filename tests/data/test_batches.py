import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lexigraft.data.batches import NOT_COUNTED, BucketedBatches, EncodedText, eval_loader, train_loader
from lexigraft.data.encoded import Encoded

PAD = 9


def lengths(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 60, n)


def texts(n: int) -> EncodedText:
    return encoded([[i] * int(length) for i, length in enumerate(lengths(n))], [i % 3 for i in range(n)])


def encoded(ids: list[list[int]], labels: list[int], **options: bool) -> EncodedText:
    return EncodedText(Encoded.of(ids), labels, pad_id=PAD, **options)


def padding(batches: list[list[int]], of: np.ndarray) -> float:
    cells = sum(len(b) * of[b].max() for b in batches)
    return 1 - of.sum() / cells


def test_shorter_texts_are_padded_on_the_right() -> None:
    data = encoded([[1, 2, 3], [4]], [1, 0])
    batch = data.__getitems__([1, 0])
    assert batch.pop("task") == "main"
    assert batch["input_ids"].tolist() == [[4, PAD, PAD], [1, 2, 3]]
    assert batch["mask"].tolist() == [[True, False, False], [True, True, True]]
    assert batch["labels"].tolist() == [0, 1]
    assert batch["index"].tolist() == [1, 0]
    assert {name: t.dtype for name, t in batch.items()} == {
        "input_ids": torch.int64,
        "mask": torch.bool,
        "labels": torch.int64,
        "index": torch.int64,
    }


def test_a_text_without_tokens_becomes_one_padding_token() -> None:
    data = encoded([[], [1, 2]], [0, 1])
    batch = data.__getitems__([0, 1])
    assert batch["input_ids"].tolist() == [[PAD, PAD], [1, 2]]
    assert batch["mask"].tolist() == [[True, False], [True, True]]
    assert data[0]["input_ids"].tolist() == [[PAD]]


def test_targets_of_tokens_are_padded_with_what_does_not_count() -> None:
    data = encoded([[1, 2, 3], [4]], [5, NOT_COUNTED, 7, 8], per_token=True)
    labels = data.__getitems__([1, 0])["labels"]
    assert labels.tolist() == [[8, NOT_COUNTED, NOT_COUNTED], [5, NOT_COUNTED, 7]]


def test_targets_of_several_classes_are_rows() -> None:
    data = EncodedText(Encoded.of([[1], [2]]), np.eye(2, 3), pad_id=PAD, task="topic")
    batch = data.__getitems__([1])
    assert batch["labels"].tolist() == [[0, 1, 0]]
    assert batch["task"] == "topic"


def test_types_of_pairs_are_padded_with_zero() -> None:
    pairs = Encoded(np.array([3, 4, 5]), np.array([0, 2, 3]), types=np.array([0, 1, 1], np.uint8))
    assert EncodedText(pairs, [0, 1], pad_id=PAD).__getitems__([0, 1])["types"].tolist() == [[0, 1], [1, 0]]


@settings(deadline=None)
@given(st.integers(0, 70), st.integers(1, 9), st.integers(1, 4), st.integers(0, 99), st.integers(0, 3))
def test_every_text_comes_once_an_epoch(n: int, batch_size: int, pool: int, seed: int, epoch: int) -> None:
    sampler = BucketedBatches(lengths(n), batch_size, seed, pool)
    sampler.at(epoch)
    batches = list(sampler)
    assert sorted(i for batch in batches for i in batch) == list(range(n))
    assert len(batches) == len(sampler)
    assert sum(len(batch) < batch_size for batch in batches) == (n % batch_size > 0)


@settings(deadline=None)
@given(st.lists(st.integers(0, 90), max_size=80), st.integers(1, 9), st.integers(90, 400), st.integers(0, 99))
def test_a_budget_of_tokens_holds_in_every_epoch(of: list[int], batch_size: int, tokens: int, seed: int) -> None:
    sampler = BucketedBatches(np.array(of, np.int64), batch_size, seed, tokens=tokens)
    sizes = set()
    for epoch in range(3):
        batches = sampler.batches(epoch)
        assert sorted(i for batch in batches for i in batch) == list(range(len(of)))
        assert all(len(batch) <= batch_size for batch in batches)
        assert all(len(batch) * max(of[i] for i in batch) <= tokens for batch in batches)
        assert len(batches) == len(sampler)
        sizes.add(tuple(sorted(map(len, batches))))
    assert len(sizes) == 1


def test_a_budget_of_tokens_is_used_and_pads_little() -> None:
    of = np.random.default_rng(0).lognormal(4.3, 0.7, 5000).astype(int).clip(4, 512)
    batches = BucketedBatches(of, 1000, seed=0, tokens=4096).batches(0)
    cells = np.array([len(b) * of[b].max() for b in batches])
    assert padding(batches, of) < 0.06
    assert np.median(cells) > 0.9 * 4096
    first, second = ({frozenset(b) for b in BucketedBatches(of, 1000, 0, tokens=4096).batches(e)} for e in (0, 1))
    assert len(first & second) < 3


def test_batches_of_a_budget_can_be_resumed() -> None:
    sampler = BucketedBatches(lengths(100), 8, seed=3, tokens=200)
    epochs = [list(sampler) for _ in range(3)]
    sampler.at(1, done=5)
    assert [*sampler, *sampler] == epochs[1][5:] + epochs[2]
    assert epochs[0] != epochs[1]


def test_a_text_beyond_the_budget_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^batch_tokens is 50, but a text has 59 tokens: raise trainer.batch_tokens"):
        BucketedBatches(lengths(100), 8, seed=0, tokens=50)
    with pytest.raises(ValueError, match="batch_tokens is 0; 1 or more is expected"):
        BucketedBatches(lengths(3), 8, seed=0, tokens=0)


def test_evaluation_keeps_to_the_budget_but_drops_nothing() -> None:
    data = texts(50)
    batches = list(eval_loader(data, batch_size=16, tokens=40))
    assert sorted(torch.cat([b["index"] for b in batches]).tolist()) == list(range(50))
    assert all(b["mask"].numel() <= 40 or len(b["mask"]) == 1 for b in batches)
    assert max(len(b["mask"]) for b in batches) == 8
    assert max(len(b["mask"]) for b in eval_loader(data, batch_size=5, tokens=40)) == 5


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    sampler, same, other = (BucketedBatches(lengths(200), 8, seed) for seed in (0, 0, 1))
    first, second = list(sampler), list(sampler)
    torch.manual_seed(123)
    random.seed(123)
    assert list(same) == first != second == list(same)
    assert list(other) != first
    assert sorted(map(len, first)) == sorted(map(len, second))


def test_batches_are_not_the_same_groups_every_epoch() -> None:
    sampler = BucketedBatches(lengths(400), 8, seed=0)
    first, second = ({frozenset(b) for b in sampler.batches(e)} for e in (0, 1))
    assert len(first & second) < 5


def test_a_position_can_be_set() -> None:
    sampler = BucketedBatches(lengths(100), 8, seed=3)
    epochs = [list(sampler) for _ in range(3)]
    sampler.at(1, done=5)
    assert len(sampler) == 13
    assert list(sampler) == epochs[1][5:]
    assert list(sampler) == epochs[2]


def test_an_iterator_that_is_never_read_costs_no_epoch() -> None:
    sampler = BucketedBatches(lengths(30), 8, seed=0)
    iter(sampler)
    assert list(sampler) == sampler.batches(0)


def test_bucketing_saves_most_of_the_padding() -> None:
    of = lengths(5000)
    order = np.random.default_rng(1).permutation(5000)
    plain = padding([order[i : i + 32].tolist() for i in range(0, 5000, 32)], of)
    bucketed = padding(BucketedBatches(of, 32, seed=0).batches(0), of)
    assert plain > 0.4
    assert bucketed < 0.05


def test_long_and_short_batches_are_mixed() -> None:
    of = lengths(3000)
    longest = np.array([of[b].max() for b in BucketedBatches(of, 32, seed=0).batches(0)])
    half = len(longest) // 2
    assert abs(longest[:half].mean() - longest[half:].mean()) < 10


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_the_number_of_workers_changes_nothing(workers: int) -> None:
    data = texts(40)
    sampler = BucketedBatches(data.encoded.lengths(), 8, seed=5)
    loader = train_loader(data, sampler, workers=workers)
    for epoch in (0, 1):
        assert [batch["index"].tolist() for batch in loader] == sampler.batches(epoch)


def test_loaders_leave_the_global_random_stream_alone() -> None:
    data = texts(40)
    loaders = [
        train_loader(data, BucketedBatches(data.encoded.lengths(), 8, seed=0)),
        eval_loader(data, batch_size=16),
    ]
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    assert [len(list(loader)) for loader in loaders] == [5, 3]
    assert torch.equal(torch.rand(3), expected)


def test_evaluation_goes_from_long_to_short_and_the_index_restores_the_order() -> None:
    data = texts(50)
    batches = list(eval_loader(data, batch_size=16))
    widths = [batch["input_ids"].shape[1] for batch in batches]
    assert widths == sorted(widths, reverse=True)
    order = torch.cat([b["index"] for b in batches]).argsort()
    assert torch.cat([b["labels"] for b in batches])[order].tolist() == data.targets.tolist()
    firsts = torch.cat([b["input_ids"][:, 0] for b in batches])[order]
    assert firsts.tolist() == list(range(50))


def test_a_batch_needs_a_size() -> None:
    with pytest.raises(ValueError, match="batch_size is 0; 1 or more is expected"):
        BucketedBatches(lengths(3), 0, seed=0)
    with pytest.raises(ValueError, match="batch_size is 0; 1 or more is expected"):
        eval_loader(encoded([[1]], [0]), batch_size=0)
