"""Documents cut into pieces that a model can read at once, and pieces packed into rows of one length."""

from dataclasses import dataclass

import numpy as np

from lexigraft.data.encoded import Encoded

Around = tuple[list[int], list[int]]  # special tokens before and after each piece


def pieces_of(documents: Encoded, max_tokens: int, around: Around) -> Encoded:
    """Pieces of at most `max_tokens`, special tokens included, in the order of the documents.

    Every token of a document is in one piece; documents without tokens are in none. The rest of a word that was cut is
    a word of its own (`units`). `ValueError` if `max_tokens` leaves no room beside the special tokens.
    """
    before, after = around
    special = len(before) + len(after)
    room = max_tokens - special
    if room < 1:
        raise ValueError(
            f"max_tokens is {max_tokens}, but this tokenizer puts {special} special tokens around every text: "
            f"give {special + 1} or more"
        )
    lengths = documents.lengths()
    counts = -(-lengths // room)
    first = np.cumsum(counts) - counts
    within = np.arange(counts.sum()) - np.repeat(first, counts)
    sizes = np.minimum(np.repeat(lengths, counts) - within * room, room)
    starts = np.concatenate([[0], np.cumsum(sizes + special)]).astype(np.int64)
    begins = starts[:-1] + len(before)
    # Pieces take the tokens one after the other, so only the places have to be found.
    places = np.repeat(begins - (np.cumsum(sizes) - sizes), sizes) + np.arange(sizes.sum())
    ids = np.empty(int(starts[-1]), np.int32)
    ids[places] = documents.ids
    for i, token in enumerate(before):
        ids[starts[:-1] + i] = token
    for i, token in enumerate(after):
        ids[starts[1:] - len(after) + i] = token
    if documents.units is None:
        return Encoded(ids, starts)
    units = np.full(len(ids), -1, np.int32)
    units[places] = documents.units
    units[begins] = np.maximum(units[begins], 0)
    return Encoded(ids, starts, units=units)


@dataclass(frozen=True)
class Rows:
    """What stands in each row: row i holds the pieces `pieces[starts[i]:starts[i + 1]]`; both int64."""

    pieces: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def lengths(self, pieces: np.ndarray) -> np.ndarray:
        """Tokens of each row, int64 `[R]`, from those of each piece."""
        return np.add.reduceat(pieces[self.pieces], self.starts[:-1]) if len(self) else np.empty(0, np.int64)

    def take(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The pieces of some rows, row after row, and how many each row has."""
        counts = self.starts[rows + 1] - self.starts[rows]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return self.pieces[np.repeat(self.starts[rows], counts) + within], counts


def one_each(pieces: int) -> Rows:
    """Rows of a piece each."""
    return Rows(np.arange(pieces), np.arange(pieces + 1))


def packed(lengths: np.ndarray, room: int, seed: int) -> Rows:
    """Rows of at most `room` tokens that hold every piece once, by best fit, the longest pieces first.

    Each goes where least is left over after it (best-fit decreasing; for texts: Ding et al. 2024, Fewer Truncations
    Improve Language Modeling). Which of equally long pieces stand together depends on the seed alone.
    """
    assert not len(lengths) or 0 < lengths.min() <= lengths.max() <= room
    shuffled = np.random.default_rng(seed).permutation(len(lengths))
    order = shuffled[np.argsort(-lengths[shuffled], kind="stable")]
    rows: list[list[int]] = []
    open_rows: list[list[int]] = [[] for _ in range(room + 1)]  # by the tokens that are left in them
    some = 0  # bit n: there is a row with n tokens left
    for piece, length in zip(order.tolist(), lengths[order].tolist()):
        fits = some >> length
        if fits:
            left = length + (fits & -fits).bit_length() - 1
            row = open_rows[left].pop()
            if not open_rows[left]:
                some ^= 1 << left
            rows[row].append(piece)
        else:
            left, row = room, len(rows)
            rows.append([piece])
        left -= length
        open_rows[left].append(row)
        some |= 1 << left
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=np.int64)]).astype(np.int64)
    return Rows(np.fromiter((piece for row in rows for piece in row), np.int64, len(lengths)), starts)
