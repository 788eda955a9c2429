"""Pieces of documents as batches: what a model reads, and what it is to say of it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from lexigraft.data.batches import NOT_COUNTED, Batch, Turn
from lexigraft.data.encoded import Encoded
from lexigraft.data.pretraining.objective import Asked
from lexigraft.data.pretraining.pieces import Rows, one_each


class PretrainingTexts(Dataset[Batch]):
    """Rows of pieces, and the exercise that is made of them anew in each epoch of training.

    `rows` says which pieces are packed into which row; None: each piece is a row. `pad_id` fills up shorter rows on the
    right. Indices that carry no epoch (see `Turn`) get the exercise of an evaluation, always the same.
    """

    def __init__(self, pieces: Encoded, asked: Asked, *, pad_id: int, rows: Rows | None = None) -> None:
        self.pieces, self.asked, self.pad_id, self.packed = pieces, asked, pad_id, rows is not None
        self.rows = rows if rows is not None else one_each(len(pieces))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """The batch of some rows, padded on the right to T tokens.

        It holds "input_ids" int64 `[B, T]`, "mask" bool `[B, T]` (True where a token stands), "labels" int64 `[B, T]`
        (`NOT_COUNTED` where nothing is to be said), "index" int64 `[B]` and "task". Where rows are packed, also
        "documents" int64 `[B, T]` (which piece of the row, -1 at padding) and "positions" int64 `[B, T]` (from 0 in
        each piece).
        """
        which, counts, pieces, ids, labels = self._exercise(indices)
        sizes = pieces.lengths()
        row = np.repeat(np.arange(len(counts)), counts)
        lengths = np.bincount(row, weights=sizes, minlength=len(counts)).astype(np.int64)
        columns = np.arange(max(1, int(lengths.max(initial=0))))
        filled = columns < lengths[:, None]
        batch: Batch = {
            "input_ids": _padded(ids, filled, self.pad_id),
            "mask": torch.from_numpy(filled),
            "labels": _padded(labels, filled, NOT_COUNTED),
            "index": torch.from_numpy(np.array(indices, np.int64)),
            "task": "main",
        }
        if self.packed:
            number = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
            batch["documents"] = _padded(np.repeat(number, sizes), filled, -1)
            within = np.arange(len(ids)) - np.repeat(pieces.starts[:-1], sizes)
            batch["positions"] = _padded(within, filled, 0)
        return batch

    def lengths(self) -> np.ndarray:
        """Tokens of each row, int64 `[R]`."""
        return self.rows.lengths(self.pieces.lengths())

    def labels_in(self, indices: Sequence[int]) -> np.ndarray:
        """How many tokens of each of some rows are to be said, int64 `[B]`."""
        _, counts, pieces, _, labels = self._exercise(indices)
        row = np.repeat(np.repeat(np.arange(len(counts)), counts), pieces.lengths())
        return np.bincount(row[labels != NOT_COUNTED], minlength=len(counts))

    def _exercise(self, indices: Sequence[int]) -> tuple[Any, ...]:
        """Which pieces the rows hold, how many each; the pieces; and what is read and said in them."""
        which, counts = self.rows.take(np.asarray(indices, np.int64))
        pieces = self.pieces.take(which)
        epoch = indices.epoch if isinstance(indices, Turn) else None
        return which, counts, pieces, *self.asked(pieces, which, epoch)


class OwnRows(Dataset[Batch]):
    """The rows of one of several ranks: of each batch those in the places `rank`, `rank` + `ranks`, and so on.

    Beside what batches hold, "loss_share" is the factor by which the mean loss over the rank's labels is multiplied, so
    that the mean of all ranks is the mean over all labels; "token_share" is that of a mean over all tokens. A rank for
    which there is no row gets another's, with factors 0.
    """

    def __init__(self, data: PretrainingTexts, rank: int, ranks: int) -> None:
        self.data, self.rank, self.ranks = data, rank, ranks
        self._tokens = data.lengths()

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """The rank's share of the batch of these rows."""
        own = indices[self.rank :: self.ranks]
        batch = self.data.__getitems__(_same_turn(indices, own or indices[:1]))
        counts = {"loss_share": self.data.labels_in(indices), "token_share": self._tokens[list(indices)]}
        for name, of_rows in counts.items():
            batch[name] = float(of_rows[self.rank :: self.ranks].sum() * self.ranks / max(1, of_rows.sum()))
        return batch


def _same_turn(of: Sequence[int], rows: Sequence[int]) -> Sequence[int]:
    return Turn(rows, of.epoch) if isinstance(of, Turn) else rows


def _padded(values: np.ndarray, filled: np.ndarray, padding: int) -> torch.Tensor:
    """int64 `[B, T]` with the values, row after row, where `filled` is true."""
    out = np.full(filled.shape, padding, np.int64)
    out[filled] = values
    return torch.from_numpy(out)
