import pickle

import numpy as np
import pytest
import torch

from lexigraft.data.batches import NOT_COUNTED, Turn
from lexigraft.data.pretraining.causal import Causal
from lexigraft.data.pretraining.masking import Masking
from lexigraft.data.pretraining.pieces import packed
from lexigraft.data.pretraining.texts import OwnRows, PretrainingTexts
from tests.data.pretraining.exercises import CLS, PAD, pieces, vocabulary

PIECES = pieces(40, 20)


def texts(objective: Masking | Causal | None = None, room: int | None = None) -> PretrainingTexts:
    asked = (objective or Masking(0.3)).prepared(vocabulary(), 1)
    rows = None if room is None else packed(PIECES.lengths(), room, 0)
    return PretrainingTexts(PIECES, asked, pad_id=PAD, rows=rows)


def test_a_batch_of_pieces() -> None:
    data = texts()
    batch = data.__getitems__(Turn([5, 2, 9], epoch=1))
    lengths = PIECES.lengths()[[5, 2, 9]]
    assert set(batch) == {"input_ids", "mask", "labels", "index", "task"}
    assert batch["input_ids"].shape == batch["labels"].shape == (3, lengths.max())
    assert (batch["input_ids"].dtype, batch["labels"].dtype, batch["mask"].dtype) == (
        torch.int64,
        torch.int64,
        torch.bool,
    )
    assert batch["mask"].sum(1).tolist() == lengths.tolist()
    assert batch["index"].tolist() == [5, 2, 9]
    assert batch["task"] == "main"
    asked = batch["labels"] != NOT_COUNTED
    restored = torch.where(asked, batch["labels"], batch["input_ids"])
    for row, piece, length in zip(restored, (5, 2, 9), lengths):
        assert row.tolist() == [*PIECES[piece].tolist(), *[PAD] * (int(lengths.max()) - length)]
    assert not asked[~batch["mask"]].any()


def test_a_packed_row_is_its_pieces_with_their_own_numbers_and_positions() -> None:
    data, apart = texts(room=64), texts()
    assert len(data) < len(apart) / 3
    turn = Turn(range(len(data)), epoch=2)
    batch = data.__getitems__(turn)
    assert set(batch) == {"input_ids", "mask", "labels", "index", "task", "documents", "positions"}
    assert ((batch["documents"] >= 0) == batch["mask"]).all()
    for row in range(len(data)):
        which, _ = data.rows.take(np.array([row]))
        for number, piece in enumerate(which.tolist()):
            here = batch["documents"][row] == number
            alone = apart.__getitems__(Turn([piece], epoch=2))
            # The exercise of a piece is the same whatever stands beside it.
            assert batch["input_ids"][row, here].tolist() == alone["input_ids"][0].tolist()
            assert batch["labels"][row, here].tolist() == alone["labels"][0].tolist()
            assert batch["positions"][row, here].tolist() == list(range(PIECES.lengths()[piece]))
    assert (batch["input_ids"][batch["positions"] == 0][batch["mask"][batch["positions"] == 0]] == CLS).all()


def test_no_next_token_is_asked_for_over_the_end_of_a_piece() -> None:
    batch = texts(Causal(), room=64).__getitems__(Turn([0, 1], epoch=0))
    documents, labels = batch["documents"], batch["labels"]
    last = documents != torch.roll(documents, -1, 1)
    last[:, -1] = True
    assert (labels[last] == NOT_COUNTED).all()
    inside = ~last & batch["mask"]
    assert (labels[inside] == torch.roll(batch["input_ids"], -1, 1)[inside]).all()


def test_each_epoch_has_its_own_exercise_and_no_epoch_always_the_same() -> None:
    data = texts(room=64)
    first, again, other = (data.__getitems__(Turn([0], epoch=epoch))["labels"] for epoch in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(data[0]["labels"], data.__getitems__([0])["labels"])


def test_workers_get_a_copy_that_makes_the_same_batches() -> None:
    data = texts(room=64)
    copied, turn = pickle.loads(pickle.dumps((data, Turn([1, 0], epoch=3))))
    for name, value in data.__getitems__(Turn([1, 0], epoch=3)).items():
        other = copied.__getitems__(turn)[name]
        assert torch.equal(value, other) if isinstance(value, torch.Tensor) else value == other


@pytest.mark.parametrize("room", [None, 64])
@pytest.mark.parametrize("ranks", [2, 3])
def test_the_ranks_shares_make_up_the_mean_of_the_whole_batch(room: int | None, ranks: int) -> None:
    data = texts(room=room)
    turn = Turn([3, 0, 2, 1, 4], epoch=5)
    whole = data.__getitems__(turn)
    parts = [OwnRows(data, rank, ranks).__getitems__(turn) for rank in range(ranks)]
    assert sorted(i for part in parts for i in part["index"].tolist()) == [0, 1, 2, 3, 4]
    for share, counted in ("loss_share", lambda b: b["labels"] != NOT_COUNTED), ("token_share", lambda b: b["mask"]):
        value = whole["input_ids"].double()[counted(whole)].mean()
        of_ranks = [part["input_ids"].double()[counted(part)].mean() * part[share] for part in parts]
        assert float(sum(of_ranks) / ranks) == pytest.approx(float(value))


def test_a_rank_without_a_row_sees_another_s_which_does_not_count() -> None:
    parts = [OwnRows(texts(), rank, 3).__getitems__(Turn([7, 8], epoch=0)) for rank in range(3)]
    assert [part["index"].tolist() for part in parts] == [[7], [8], [7]]
    assert (parts[2]["loss_share"], parts[2]["token_share"]) == (0.0, 0.0)
    assert sum(part["loss_share"] for part in parts) == pytest.approx(3)
