import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lexigraft.data.batches import BucketedBatches, EncodedText, collate, eval_loader, train_loader

PAD = 9


def lengths(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 60, n)


def texts(n: int) -> EncodedText:
    return EncodedText([[i] * int(length) for i, length in enumerate(lengths(n))], [i % 3 for i in range(n)])


def padding(batches: list[list[int]], of: np.ndarray) -> float:
    cells = sum(len(b) * of[b].max() for b in batches)
    return 1 - of.sum() / cells


def test_collate_pads_on_the_right() -> None:
    data = EncodedText([[1, 2, 3], [4]], [1, 0])
    batch = collate(PAD)([data[1], data[0]])
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
    data = EncodedText([[], [1, 2]], [0, 1])
    batch = collate(PAD)([data[0], data[1]])
    assert batch["input_ids"].tolist() == [[PAD, PAD], [1, 2]]
    assert batch["mask"].tolist() == [[True, False], [True, True]]
    assert collate(PAD)([data[0]])["input_ids"].tolist() == [[PAD]]


@settings(deadline=None)
@given(st.integers(0, 70), st.integers(1, 9), st.integers(1, 4), st.integers(0, 99), st.integers(0, 3))
def test_every_text_comes_once_an_epoch(n: int, batch_size: int, pool: int, seed: int, epoch: int) -> None:
    sampler = BucketedBatches(lengths(n), batch_size, seed, pool)
    sampler.at(epoch)
    batches = list(sampler)
    assert sorted(i for batch in batches for i in batch) == list(range(n))
    assert len(batches) == len(sampler)
    assert sum(len(batch) < batch_size for batch in batches) == (n % batch_size > 0)


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
    sampler = BucketedBatches(data.lengths(), 8, seed=5)
    loader = train_loader(data, sampler, pad_id=PAD, workers=workers)
    for epoch in (0, 1):
        assert [batch["index"].tolist() for batch in loader] == sampler.batches(epoch)


def test_loaders_leave_the_global_random_stream_alone() -> None:
    data = texts(40)
    loaders = [
        train_loader(data, BucketedBatches(data.lengths(), 8, seed=0), pad_id=PAD),
        eval_loader(data.input_ids, data.labels, pad_id=PAD, batch_size=16),
    ]
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    assert [len(list(loader)) for loader in loaders] == [5, 3]
    assert torch.equal(torch.rand(3), expected)


def test_evaluation_goes_from_long_to_short_and_the_index_restores_the_order() -> None:
    data = texts(50)
    batches = list(eval_loader(data.input_ids, data.labels, pad_id=PAD, batch_size=16))
    widths = [batch["input_ids"].shape[1] for batch in batches]
    assert widths == sorted(widths, reverse=True)
    order = torch.cat([b["index"] for b in batches]).argsort()
    assert torch.cat([b["labels"] for b in batches])[order].tolist() == data.labels
    firsts = torch.cat([b["input_ids"][:, 0] for b in batches])[order]
    assert firsts.tolist() == list(range(50))


def test_a_batch_needs_a_size() -> None:
    with pytest.raises(ValueError, match="batch_size is 0; 1 or more is expected"):
        BucketedBatches(lengths(3), 0, seed=0)
    with pytest.raises(ValueError, match="batch_size is 0; 1 or more is expected"):
        eval_loader([[1]], [0], pad_id=PAD, batch_size=0)
