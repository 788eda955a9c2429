import numpy as np
import pytest

from lexigraft.data.encoded import Encoded
from lexigraft.data.pretraining.pieces import one_each, packed, pieces_of


def documents(*lengths: int) -> Encoded:
    """Tokens that count from 10 on; every other one begins a word."""
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = np.arange(10, 10 + starts[-1], dtype=np.int32)
    within = np.concatenate([np.arange(n) for n in lengths]) if lengths else np.empty(0, int)
    return Encoded(ids, starts, units=np.where(within % 2 == 0, within // 2, -1).astype(np.int32))


def test_documents_are_cut_with_special_tokens_around_each_piece() -> None:
    pieces = pieces_of(documents(2, 0, 7), 5, ([1], [2, 3]))
    assert [pieces[i].tolist() for i in range(len(pieces))] == [
        [1, 10, 11, 2, 3],
        [1, 12, 13, 2, 3],
        [1, 14, 15, 2, 3],
        [1, 16, 17, 2, 3],
        [1, 18, 2, 3],
    ]
    assert pieces.units is not None
    assert pieces.units[:5].tolist() == [-1, 0, -1, -1, -1]


def test_the_rest_of_a_cut_word_is_a_word() -> None:
    pieces = pieces_of(documents(6), 3, ([], []))
    assert pieces.units is not None
    assert [pieces[i].tolist() for i in range(2)] == [[10, 11, 12], [13, 14, 15]]
    assert [bool(unit >= 0) for unit in pieces.units] == [True, False, True, True, True, False]


def test_every_token_is_in_one_piece() -> None:
    of = documents(*np.random.default_rng(0).integers(0, 60, 50))
    pieces = pieces_of(of, 17, ([0], [1]))
    assert [token for token in pieces.ids.tolist() if token > 1] == of.ids.tolist()
    assert pieces.lengths().max() == 17
    assert pieces_of(documents(), 17, ([0], [1])).lengths().tolist() == []


def test_no_room_is_told() -> None:
    with pytest.raises(ValueError, match="max_tokens is 2, but this tokenizer puts 2 special tokens .* give 3 or more"):
        pieces_of(documents(4), 2, ([1], [2]))


@pytest.mark.parametrize("room", [20, 64, 1000])
def test_rows_hold_every_piece_once_and_little_else(room: int) -> None:
    lengths = np.minimum(np.random.default_rng(1).geometric(0.04, 3000) + 2, room)
    rows = packed(lengths, room, seed=3)
    assert sorted(rows.pieces.tolist()) == list(range(3000))
    filled = rows.lengths(lengths)
    assert filled.max() <= room
    assert filled.tolist() == [int(lengths[rows.take(np.array([i]))[0]].sum()) for i in range(len(rows))]
    assert 1 - filled.sum() / (len(rows) * room) < 0.03
    assert filled.sum() == lengths.sum()


def test_a_piece_goes_where_it_fits_best() -> None:
    rows = packed(np.array([6, 7, 3, 4, 10, 1]), 10, seed=0)
    assert sorted(sorted(rows.take(np.array([i]))[0].tolist()) for i in range(len(rows))) == [[0, 3], [1, 2], [4], [5]]


def test_the_seed_alone_decides_who_stands_together() -> None:
    lengths = np.full(100, 5)
    same, again, other = (packed(lengths, 15, seed).pieces.tolist() for seed in (1, 1, 2))
    assert same == again
    assert same != other
    assert len(packed(lengths, 15, 1)) == len(packed(lengths, 15, 2)) == 34


def test_rows_of_a_piece_each() -> None:
    rows = one_each(3)
    which, counts = rows.take(np.array([2, 0]))
    assert (which.tolist(), counts.tolist()) == ([2, 0], [1, 1])
    assert rows.lengths(np.array([4, 5, 6])).tolist() == [4, 5, 6]
    assert len(packed(np.empty(0, np.int64), 5, 0)) == 0
