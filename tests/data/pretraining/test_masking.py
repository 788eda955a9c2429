import re
from collections import Counter

import numpy as np
import pytest

from lexigraft.data.batches import NOT_COUNTED
from lexigraft.data.encoded import Encoded
from lexigraft.data.pretraining.masking import LONGEST_SPAN, Masking
from tests.data.pretraining.exercises import MASK, SIZE, UNK, pieces, vocabulary

MANY = pieces(4000, 120)
ALL = np.arange(len(MANY))


def exercise(settings: Masking, epoch: int | None = 0, seed: int = 1, of: Encoded = MANY, which: np.ndarray = ALL):
    return settings.prepared(vocabulary(), seed)(of, which, epoch)


def units_of(of: Encoded) -> np.ndarray:
    """The number of the word that each ordinary token is of, -1 for others; an unknown token ends a word."""
    assert of.units is not None
    ordinary = of.ids > UNK + 3
    begins = ordinary & ((of.units >= 0) | ~np.concatenate([[False], ordinary[:-1]]))
    return np.where(ordinary, np.cumsum(begins), -1)


@pytest.mark.parametrize("words", [True, False])
@pytest.mark.parametrize("spans", [True, False])
@pytest.mark.parametrize("rate", [0.15, 0.4])
def test_the_rate_is_exact_in_the_mean_and_special_tokens_stay(rate: float, words: bool, spans: bool) -> None:
    ids, labels = exercise(Masking(rate, words, spans))
    ordinary = MANY.ids > MASK
    asked = labels != NOT_COUNTED
    assert not asked[~ordinary].any()
    assert (ids == MANY.ids)[~asked].all()
    assert (labels == MANY.ids)[asked].all()
    assert asked.sum() / ordinary.sum() == pytest.approx(rate, abs=0.005)


def test_of_the_hidden_tokens_so_many_are_masked_drawn_and_kept() -> None:
    ids, labels = exercise(Masking(0.3, random=0.2, keep=0.1))
    asked = labels != NOT_COUNTED
    masked, same = ids[asked] == MASK, ids[asked] == labels[asked]
    assert masked.mean() == pytest.approx(0.7, abs=0.01)
    assert same.mean() == pytest.approx(0.1 + 0.2 / 100, abs=0.01)
    drawn = Counter(ids[asked][~masked & ~same].tolist())
    assert set(drawn) == set(range(5, SIZE))  # ordinary tokens alone, and all of them
    assert max(drawn.values()) < 2 * min(drawn.values())
    ids, labels = exercise(Masking(0.3, random=0, keep=0))
    assert (ids[labels != NOT_COUNTED] == MASK).all()


def test_words_are_hidden_as_a_whole_and_no_word_more_than_the_rate_lets() -> None:
    _, labels = exercise(Masking())
    words = units_of(MANY)
    asked = labels != NOT_COUNTED
    hidden = np.bincount(words[words >= 0], weights=asked[words >= 0])
    sizes = np.bincount(words[words >= 0])
    assert set(np.unique(hidden / np.maximum(sizes, 1)).tolist()) == {0.0, 1.0}
    assert (sizes > 1).sum() > 1000
    _, single = exercise(Masking(words=False))
    parts = np.bincount(words[words >= 0], weights=(single != NOT_COUNTED)[words >= 0]) / np.maximum(sizes, 1)
    assert ((parts > 0) & (parts < 1)).any()
    for i in range(len(MANY)):
        of_piece = slice(MANY.starts[i], MANY.starts[i + 1])
        tokens = (MANY.ids[of_piece] > MASK).sum()
        assert abs(asked[of_piece].sum() - 0.15 * tokens) < 3  # no further than the longest word


def test_spans_are_geometrically_long_with_a_mean_of_3_8() -> None:
    long = Encoded(np.full(400_000, 7, np.int32), np.arange(0, 400_001, 40_000))
    _, labels = exercise(Masking(0.02, words=False, spans=True), of=long, which=np.arange(10))
    # So few are chosen that neighbours hardly ever meet.
    edges = np.flatnonzero(np.diff(labels != NOT_COUNTED, prepend=False, append=False))
    lengths = edges[1::2] - edges[::2]
    assert (lengths <= LONGEST_SPAN).mean() > 0.95
    assert lengths[lengths <= LONGEST_SPAN].mean() == pytest.approx(3.8, abs=0.15)
    assert (lengths == 1).mean() == pytest.approx(0.2 / (1 - 0.8**10), abs=0.03)


def test_a_span_is_of_whole_words_and_has_one_lot() -> None:
    ids, labels = exercise(Masking(0.2, spans=True, random=0.3, keep=0.3))
    words, asked = units_of(MANY), labels != NOT_COUNTED
    inside = words >= 0
    hidden = np.bincount(words[inside], weights=asked[inside]) / np.maximum(np.bincount(words[inside]), 1)
    assert set(np.unique(hidden).tolist()) == {0.0, 1.0}
    masked = np.bincount(words[inside & asked], weights=ids[inside & asked] == MASK)
    share = masked / np.maximum(np.bincount(words[inside & asked]), 1)
    assert set(np.unique(share).tolist()) == {0.0, 1.0}


def test_a_piece_s_exercise_depends_on_seed_epoch_and_its_number_alone() -> None:
    for settings in Masking(), Masking(spans=True), Masking(words=False):
        whole = exercise(settings, epoch=3)
        some = np.array([70, 2, 35])
        part = exercise(settings, epoch=3, of=MANY.take(some), which=some)
        flat, _ = MANY.places(some)
        for one, other in zip(whole, part):
            assert one[flat].tolist() == other.tolist()
        for other in exercise(settings, epoch=4), exercise(settings, epoch=3, seed=2):
            assert (other[1] != whole[1]).any()


def test_an_evaluation_is_always_the_same() -> None:
    first, again = (exercise(Masking(), epoch=None, seed=seed) for seed in (1, 2))
    assert first[0].tolist() == again[0].tolist()
    assert first[1].tolist() == again[1].tolist()
    assert (first[1] != exercise(Masking(), epoch=0, seed=0)[1]).any()


def test_a_piece_without_ordinary_tokens_asks_for_nothing() -> None:
    empty = Encoded(np.array([2, 1, 3, 2, 9, 3], np.int32), np.array([0, 3, 6]), units=np.array([-1, 0, -1, -1, 0, -1]))
    for spans in False, True:
        _, labels = exercise(Masking(0.99, spans=spans), of=empty, which=np.arange(2))
        assert labels.tolist() == [NOT_COUNTED] * 4 + [9, NOT_COUNTED]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rate": 0.0}, "objective rate=0.0 was given; a share between 0 and 1 is expected, such as 0.15"),
        ({"rate": 15}, "objective rate=15 was given"),
        ({"random": 0.6, "keep": 0.6}, "objective random=0.6 and keep=0.6 were given; two shares of 0 or more that"),
        ({"keep": -0.1}, "objective random=0.1 and keep=-0.1 were given"),
    ],
)
def test_what_is_no_share_is_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Masking(**settings)  # type: ignore[arg-type]


def test_a_vocabulary_without_a_mask_token_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no mask token; its special tokens are: pad, unk, cls, sep: choose another"):
        Masking().prepared(vocabulary(without="[MASK]"), 0)
