"""What holds of every augmentation, and the chain of several."""

import pickle
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lexigraft.data.augment.augmentation import augmented
from lexigraft.data.augment.deletion import Deletion
from lexigraft.data.augment.masking import Masking
from lexigraft.data.augment.neighbours import Neighbours
from lexigraft.data.augment.swap import Swap
from lexigraft.data.batches import BucketedBatches, EncodedText, Turn
from lexigraft.data.encoded import Encoded
from lexigraft.data.mixed import JoinedTexts
from lexigraft.vocab.vocabulary import Vocabulary

WORDS = ["<pad>", "<unk>", "<cls>", "<sep>", *(f"w{i}" for i in range(16))]
ROLES = {"<pad>": "pad", "<unk>": "unk", "<cls>": "cls", "<sep>": "sep"}
VOCABULARY = Vocabulary.of_words(WORDS, ROLES)
ROWS = torch.from_numpy(np.random.default_rng(0).normal(size=(len(WORDS), 4)).astype(np.float32))
USED = np.arange(12)
OPTIONS = {
    "deletion": Deletion(0.5),
    "swap": Swap(0.7),
    "masking": Masking(0.4),
    "neighbours": Neighbours(0.5, k=3, minimum=-1.0, among="all"),
}
TEXTS = st.lists(st.lists(st.integers(1, 11), max_size=9), min_size=1, max_size=6)
EVERY = pytest.mark.parametrize("names", [[name] for name in OPTIONS] + [list(OPTIONS)], ids="+".join)


@cache
def chain(*names, kind="class", seed=0, **options):
    chosen = {name: OPTIONS[name] for name in names} | options
    made = augmented(chosen, kind=kind, vocabulary=VOCABULARY, rows=ROWS, used=USED, seed=seed)
    assert made is not None
    return made


def lists(encoded):
    return [encoded[i].tolist() for i in range(len(encoded))]


@EVERY
@settings(deadline=None, max_examples=25)
@given(texts=TEXTS, seed=st.integers(0, 3), epoch=st.integers(0, 3), order=st.randoms(use_true_random=False))
def test_a_text_changes_alike_in_every_batch(names, texts, seed, epoch, order):
    augment, encoded = chain(*names, seed=seed), Encoded.of(texts)
    together = lists(augment(encoded, np.arange(len(texts)), epoch))
    assert [lists(augment(encoded.take([i]), np.array([i]), epoch))[0] for i in range(len(texts))] == together
    mixed = list(range(len(texts)))
    order.shuffle(mixed)
    assert lists(augment(encoded.take(mixed), np.array(mixed), epoch)) == [together[i] for i in mixed]
    assert lists(pickle.loads(pickle.dumps(augment))(encoded, np.arange(len(texts)), epoch)) == together


@EVERY
@settings(deadline=None, max_examples=25)
@given(texts=TEXTS, epoch=st.integers(0, 3))
def test_special_tokens_stay_and_no_text_is_emptied_or_longer(names, texts, epoch):
    augment = chain(*names)
    special = {0, 1, 2, 3}
    for before, after in zip(texts, lists(augment(Encoded.of(texts), np.arange(len(texts)), epoch))):
        assert len(after) <= len(before)
        assert bool(after) == bool(before)
        # Masking adds unknown tokens to those that stood there.
        here = special - ({1} if "masking" in names else set())
        assert [i for i in after if i in here] == [i for i in before if i in here]
        assert bool(set(before) - special) <= bool(set(after) - (special - {1}))
        assert set(after) <= set(before) | set(augment.introduces().tolist())


@EVERY
def test_other_epochs_seeds_and_texts_change_otherwise(names):
    texts = Encoded.of([list(range(4, 12)) * 4] * 2)
    first = lists(chain(*names)(texts, np.arange(2), 0))
    assert first[0] != first[1]
    assert first != lists(chain(*names)(texts, np.arange(2), 1))
    assert first != lists(chain(*names, seed=1)(texts, np.arange(2), 0))
    assert first[0] == lists(chain(*names)(texts, np.array([7, 0]), 0))[1]


@EVERY
def test_the_texts_themselves_are_left_as_they_are(names):
    encoded = Encoded.of([list(range(4, 12))] * 3)
    encoded.ids.flags.writeable = False
    chain(*names)(encoded, np.arange(3), 0)
    assert lists(encoded) == [list(range(4, 12))] * 3


@pytest.mark.parametrize("name", OPTIONS)
def test_only_the_given_share_of_texts_is_changed(name):
    texts = Encoded.of([list(range(4, 12)) * 3] * 400)
    option = type(OPTIONS[name])(**(vars(OPTIONS[name]) | {"share": 0.25}))
    after = lists(chain(**{name: option})(texts, np.arange(400), 0))
    changed = sum(text != list(range(4, 12)) * 3 for text in after)
    assert 70 < changed < 130


def test_both_texts_of_a_pair_keep_a_token_and_their_own():
    ids = [2, 4, 5, 3, 6, 7, 3]
    pairs = Encoded(np.array(ids * 50, np.int32), np.arange(51) * 7, np.array([0, 0, 0, 0, 1, 1, 1] * 50, np.uint8))
    deleted = chain(deletion=Deletion(1.0))(pairs, np.arange(50), 0)
    assert deleted.types is not None
    for i in range(50):
        text = deleted[i].tolist()
        assert (text[0], text[2], text[4]) == (2, 3, 3)
        assert text[1] in (4, 5)
        assert text[3] in (6, 7)
        assert deleted.types[deleted.starts[i] : deleted.starts[i + 1]].tolist() == [0, 0, 0, 1, 1]


def test_tokens_of_a_pair_without_marks_are_not_exchanged_across_its_texts():
    pairs = Encoded(np.array([4, 5] * 50, np.int32), np.arange(51) * 2, np.array([0, 1] * 50, np.uint8))
    assert lists(chain(swap=Swap(1.0))(pairs, np.arange(50), 0)) == [[4, 5]] * 50


@pytest.mark.parametrize("name", ["masking", "neighbours"])
def test_tags_stay_with_tokens_that_are_replaced(name):
    units = np.array([0, -1, 1, 2] * 5, np.int32)
    texts = Encoded(np.array([4, 5, 6, 7] * 5, np.int32), np.arange(6) * 4, None, units)
    after = chain(name, kind="tags")(texts, np.arange(5), 0)
    assert (after.units == units).all()
    assert (after.starts == texts.starts).all()
    assert (after.ids != texts.ids).any()


@pytest.mark.parametrize("name", ["deletion", "swap"])
def test_what_moves_tokens_away_from_their_tags_is_refused(name):
    with pytest.raises(
        ValueError, match=f"augment={name} moves tokens or takes them out, and their tags would no longer"
    ):
        chain("masking", name, kind="tags")


def test_training_batches_are_augmented_by_epoch_and_others_are_not():
    encoded = Encoded.of([list(range(4, 12))] * 4)
    data = EncodedText(encoded, np.arange(4), pad_id=0, change=chain("deletion", "swap"))
    first, second = (data.__getitems__(Turn([2, 0], epoch)) for epoch in (0, 1))
    assert first["labels"].tolist() == second["labels"].tolist() == [2, 0]
    assert first["input_ids"].tolist() != second["input_ids"].tolist()
    expected = lists(chain("deletion", "swap")(encoded.take([2, 0]), np.array([2, 0]), 0))
    assert [ids[mask].tolist() for ids, mask in zip(first["input_ids"], first["mask"])] == expected
    assert data.__getitems__([2, 0])["input_ids"].tolist() == [list(range(4, 12))] * 2


def test_a_text_that_an_epoch_shows_again_is_changed_otherwise():
    encoded = Encoded.of([list(range(4, 12))] * 4)
    data = EncodedText(encoded, np.arange(4), pad_id=0, change=chain("swap"))
    batches = BucketedBatches(encoded.lengths(), 8, seed=0, shown=lambda epoch: np.array([1, 1, 1, 2]))
    [turn] = batches.batches(0)
    batch = data.__getitems__(turn)
    of_one = batch["input_ids"][batch["index"] == 1].tolist()
    assert len(of_one) == 3
    assert of_one[0] != of_one[1] != of_one[2]
    moved = JoinedTexts([data, data]).__getitems__(turn.moved(4))
    assert torch.equal(moved["input_ids"], batch["input_ids"])
    sent = pickle.loads(pickle.dumps(turn))
    assert torch.equal(data.__getitems__(sent)["input_ids"], batch["input_ids"])


def test_without_options_there_is_nothing():
    assert augmented({}, kind="class", vocabulary=VOCABULARY, rows=ROWS, used=USED, seed=0) is None


@pytest.mark.parametrize("option", [Deletion, Swap, Masking, Neighbours])
def test_what_is_no_probability_is_refused(option):
    with pytest.raises(ValueError, match=r"augment.\w+.probability is 1.5; a number from 0 to 1 is expected"):
        option(probability=1.5)
    with pytest.raises(ValueError, match=r"augment.\w+.share is -1; a number from 0 to 1 is expected"):
        option(share=-1)
