"""What each augmentation of tokens does to them."""

from collections import Counter

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
from lexigraft.data.encoded import Encoded
from lexigraft.vocab.vocabulary import Token, Vocabulary

VOCABULARY = Vocabulary.of_words(["<pad>", "<unk>", *"abcdefgh"], {"<pad>": "pad", "<unk>": "unk"})
LETTERS = list(range(2, 10))


def applied(option, texts, epoch=0, vocabulary=VOCABULARY, rows=None, used=None):
    rows = torch.eye(len(vocabulary)) if rows is None else rows
    used = np.arange(len(vocabulary)) if used is None else used
    change = augmented({"it": option}, kind="class", vocabulary=vocabulary, rows=rows, used=used, seed=0)
    encoded = change(Encoded.of(texts), np.arange(len(texts)), epoch)
    return [encoded[i].tolist() for i in range(len(encoded))]


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from([1, *LETTERS]), max_size=8), min_size=1, max_size=5), st.integers(0, 3))
def test_deletion_leaves_some_of_the_tokens_in_order(texts, epoch):
    for before, after in zip(texts, applied(Deletion(0.6), texts, epoch)):
        left = iter(before)
        assert all(token in left for token in after)
        assert any(i in LETTERS for i in after) == any(i in LETTERS for i in before)


def test_deletion_takes_its_share_and_one_token_stays_of_all():
    [after] = applied(Deletion(0.3), [LETTERS * 500])
    assert 0.27 < 1 - len(after) / 4000 < 0.33
    assert all(len(text) == 1 for text in applied(Deletion(1.0), [LETTERS] * 50))
    assert len({text[0] for text in applied(Deletion(1.0), [LETTERS] * 50)}) > 3
    assert applied(Deletion(0.0), [LETTERS]) == [LETTERS]
    assert applied(Deletion(1.0), [[1, 1], []]) == [[1, 1], []]


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from([1, *LETTERS]), max_size=8), min_size=1, max_size=5), st.floats(0, 1))
def test_swap_keeps_the_tokens_and_moves_none_by_more_than_one_place(texts, probability):
    for before, after in zip(texts, applied(Swap(probability), texts)):
        assert Counter(after) == Counter(before)
        assert [i == 1 for i in after] == [i == 1 for i in before]
        i = 0
        while i < len(before):
            if before[i] == after[i]:
                i += 1
            else:
                assert after[i : i + 2] == before[i : i + 2][::-1]
                i += 2


def test_swap_exchanges_about_as_many_pairs_as_asked():
    text = LETTERS * 500
    [after] = applied(Swap(0.1), [text])
    moved = sum(one != other for one, other in zip(text, after)) / 2
    assert 0.08 < moved / len(text) < 0.11  # of overlapping pairs one is left out
    assert applied(Swap(0.0), [text]) == [text]


def test_masking_replaces_its_share_by_one_special_token():
    [after] = applied(Masking(0.25), [LETTERS * 500])
    assert 0.22 < after.count(1) / 4000 < 0.28
    assert all(new in (1, old) for old, new in zip(LETTERS * 500, after))
    masked = Vocabulary.of_words(["<mask>", "a"], {"<mask>": "mask"})
    assert applied(Masking(1.0, by="mask"), [[1, 1]], vocabulary=masked) == [[0, 0]]


def test_masking_needs_the_special_token():
    with pytest.raises(
        ValueError, match="augment.masking.by is mask, but this tokenizer has no such token; .* pad, unk"
    ):
        applied(Masking(by="mask"), [LETTERS])


def near(*options, **named):
    """a and b are near each other, c and d and e are, f is alone; g and h are as a and b, but no whole words."""
    angles = torch.tensor([0, 0, 0, 10, 90, 95, 105, 200, 1, 2]) * torch.pi / 180
    rows = torch.stack([angles.cos(), angles.sin()], 1)
    tokens = [*VOCABULARY.tokens[:8], Token(b"g", False), Token(b"h", False)]
    return Neighbours(*options, **named), Vocabulary(tuple(tokens)), rows


def replacements(option, vocabulary, rows, used=None):
    used = np.arange(10) if used is None else used
    change = option.prepared(vocabulary, rows, used)
    of = {}
    for token, ids, count in zip(change.tokens.tolist(), change.neighbours.tolist(), change.count.tolist()):
        of[vocabulary[token].text] = "".join(vocabulary[i].text for i in ids[:count])
    return of, change


def test_neighbours_are_alike_in_their_rows_and_in_how_they_stand():
    of, change = replacements(*near(k=2, minimum=0.9))
    assert of == {"a": "b", "b": "a", "c": "de", "d": "ce", "e": "dc", "g": "h", "h": "g"}
    assert change.introduces().tolist() == [2, 3, 4, 5, 6, 8, 9]
    assert change.report()["tokens"] == 8
    assert change.report()["with_neighbours"] == 7
    assert change.report()["mean_neighbours"] == pytest.approx(10 / 7, abs=0.01)
    assert change.report()["examples"].startswith("a: b 0.98; b: a 0.98; c: d 1.00 e 0.97; d: c 1.00 e 0.98")
    of, _ = replacements(*near(k=1, minimum=0.99))
    assert of == {"c": "d", "d": "c", "g": "h", "h": "g"}


def test_neighbours_are_tokens_of_train_unless_all_may_be():
    used = np.array([0, 1, 2, 4, 8])
    of, change = replacements(*near(k=2, minimum=0.9, among="all"), used=used)
    assert of == {"a": "b", "c": "de", "g": "h"}
    assert np.setdiff1d(change.introduces(), used).tolist() == [3, 5, 6, 9]
    of, change = replacements(*near(k=2, minimum=-1.0), used=used)
    assert of == {"a": "c", "c": "a"}
    assert np.setdiff1d(change.introduces(), used).tolist() == []


def test_centred_rows_have_other_neighbours():
    option, vocabulary, rows = near(k=1, minimum=0.9)
    lifted = torch.cat([rows, torch.full((10, 1), 20.0)], 1)
    assert replacements(option, vocabulary, lifted)[0].keys() == set("abcdefgh")
    assert replacements(Neighbours(k=1, minimum=0.9, centred=True), vocabulary, lifted)[0].keys() < set("abcdefgh")


def test_neighbours_take_their_share_and_are_equally_likely():
    option, vocabulary, rows = near(0.3, k=2, minimum=0.9)
    [after] = applied(option, [[4] * 4000], vocabulary=vocabulary, rows=rows)
    counts = Counter(after)
    assert set(counts) == {4, 5, 6}
    assert 0.13 < counts[5] / 4000 < 0.17
    assert 0.13 < counts[6] / 4000 < 0.17
    assert applied(option, [[7] * 100], vocabulary=vocabulary, rows=rows) == [[7] * 100]


def test_special_tokens_rows_without_a_length_and_parts_of_characters_have_no_neighbours():
    tokens = [Token(b"", None, "pad"), Token(b"a", True), Token(b"b", True), Token(b"\xe5", True), Token(b"z", True)]
    rows = torch.tensor([[1.0, 0], [1, 0], [1, 0.1], [1, 0.1], [0, 0]])
    of, _ = replacements(Neighbours(minimum=0.0), Vocabulary(tuple(tokens)), rows, np.arange(5))
    assert of == {"a": "b", "b": "a"}
    unreachable = Vocabulary((*tokens, Token(b"c", True)), unreachable=frozenset({5}))
    of, _ = replacements(Neighbours(minimum=0.0, among="all"), unreachable, torch.cat([rows, rows[1:2]]), np.arange(5))
    assert of == {"a": "b", "b": "a"}


def test_equal_rows_are_neighbours_but_no_token_its_own():
    rows = torch.ones(10, 3)
    of, change = replacements(Neighbours(k=3), VOCABULARY, rows)
    assert of["a"] == "bcd"
    assert of["h"] == "abc"
    assert all(i not in near for i, near in zip(change.tokens.tolist(), change.neighbours.tolist()))


def test_a_cosine_that_no_two_rows_have_is_refused():
    with pytest.raises(
        ValueError, match="augment.neighbours.minimum is 0.9, but no two rows of the 8 tokens in use have"
    ):
        replacements(Neighbours(minimum=0.9), VOCABULARY, torch.eye(10))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"k": 0}, "neighbours.k is 0; 1 or more"), ({"minimum": 2}, "minimum is 2; a cosine from -1")],
)
def test_options_beyond_their_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Neighbours(**options)
