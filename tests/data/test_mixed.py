from collections import Counter

import numpy as np
import pytest

from lexigraft.data.batches import BucketedBatches, EncodedText
from lexigraft.data.encoded import Encoded
from lexigraft.data.mixed import JoinedTexts, MixedBatches

SIZES = {"main": 40, "topic": 400, "mood": 13}


def mixed(temperature: float = 1.0, seed: int = 0) -> MixedBatches:
    lengths = np.random.default_rng(0)
    parts = {name: BucketedBatches(lengths.integers(1, 9, size), 8, seed) for name, size in SIZES.items()}
    return MixedBatches(parts, list(SIZES.values()), seed, temperature)


def task_of(batch: list[int]) -> str:
    bounds = np.cumsum(list(SIZES.values()))
    (place,) = set(np.searchsorted(bounds, batch, side="right").tolist())
    return list(SIZES)[place]


def test_by_size_every_text_comes_once_an_epoch() -> None:
    batches = mixed()
    for epoch in range(3):
        assert sorted(i for batch in batches.batches(epoch) for i in batch) == list(range(453))
    assert len(batches) == 5 + 50 + 2


def test_a_batch_is_of_one_data_set_and_they_are_shuffled() -> None:
    order = [task_of(batch) for batch in mixed()]
    assert Counter(order) == {"main": 5, "topic": 50, "mood": 2}
    assert order[:5] != ["main"] * 5


def test_a_temperature_moves_shares_towards_each_other() -> None:
    shares = {t: dict(Counter(map(task_of, mixed(t).batches(0)))) for t in (1.0, 2.0, 1000.0)}
    assert shares[1.0]["topic"] > shares[2.0]["topic"] > shares[1000.0]["topic"]
    assert len(set(shares[1000.0].values())) == 1
    expected = np.sqrt([5, 50, 2]) / np.sqrt([5, 50, 2]).sum() * 57
    assert [shares[2.0][name] for name in SIZES] == np.round(expected).tolist()


def test_a_large_data_set_goes_on_where_it_stopped_and_a_small_one_begins_anew() -> None:
    batches = mixed(temperature=1000.0)  # 19 batches each, of 5, 50 and 2
    seen = Counter(i for epoch in range(50) for batch in batches.batches(epoch) for i in batch)
    of_topic = [seen[i] for i in range(40, 440)]
    assert set(of_topic) == {19}  # 50 epochs of 19 batches are 19 times all 50
    assert max(seen[i] for i in range(40)) - min(seen[i] for i in range(40)) <= 1
    assert min(seen[i] for i in range(40)) == 190


def test_the_order_depends_on_seed_and_epoch_and_a_position_can_be_set() -> None:
    batches, same, other = mixed(), mixed(), mixed(seed=1)
    first, second = list(batches), list(batches)
    assert first == list(same)
    assert first != second
    assert first != list(other)
    batches.at(1, done=7)
    assert list(batches) == second[7:]


def test_joined_texts_give_each_batch_its_task_and_its_own_places() -> None:
    parts = [
        EncodedText(Encoded.of([[1]] * 3), [0, 1, 2], pad_id=0),
        EncodedText(Encoded.of([[2]] * 4), [5, 6, 7, 8], pad_id=0, task="topic"),
    ]
    joined = JoinedTexts(parts)
    assert len(joined) == 7
    batch = joined.__getitems__([6, 3])
    assert batch["task"] == "topic"
    assert batch["index"].tolist() == [3, 0]
    assert batch["labels"].tolist() == [8, 5]
    assert joined[2]["task"] == "main"


def test_a_temperature_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"trainer.sampling_temperature=0.5 was given; 1 \(by size\) or more"):
        mixed(temperature=0.5)
