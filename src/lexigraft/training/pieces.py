"""Checkpoints of which each rank writes its own piece: files of rows, and how they become whole tensors again.

Of a tensor that is cut among ranks, the checkpoint itself holds a mark in its place, a plain container; the rows lie in
files beside, one for each rank. Whoever reads them takes the rows it needs, so that as many ranks as there are go on.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_MARK = "rows in pieces"  # the key by which the mark of a cut tensor is told from other containers


@dataclass(frozen=True)
class Piece:
    """Rows `values` from row `start` on of a tensor that has the shape `whole`."""

    values: Tensor
    start: int
    whole: tuple[int, ...]


def taken_apart(content: Any, name: str = "") -> tuple[Any, dict[str, Piece]]:
    """Nested containers with a mark in the place of each `Piece`, and the pieces by the names in the marks."""
    if isinstance(content, Piece):
        return {_MARK: name, "shape": list(content.whole)}, {name: content}
    if not isinstance(content, (dict, list)):
        return content, {}
    found: dict[str, Piece] = {}
    rest = {}
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        rest[key], pieces = taken_apart(value, f"{name}/{key}" if name else str(key))
        found |= pieces
    return rest if isinstance(content, dict) else list(rest.values()), found


def write_pieces(pieces: Mapping[str, Piece], path: Path) -> None:
    """Write a rank's pieces, until they lie on the disk."""
    # A view of a larger memory would be written with all of it.
    values = {name: piece.values.detach().cpu().clone() for name, piece in pieces.items()}
    with open(path, "wb") as file:
        torch.save({"starts": {name: piece.start for name, piece in pieces.items()}, "values": values}, file)
        file.flush()
        os.fsync(file.fileno())


@dataclass(frozen=True)
class Pieces:
    """The files of all ranks, from which rows are read as they are asked for."""

    files: tuple[Path, ...]

    def rows(self, mark: Any, start: int = 0, stop: int | None = None) -> Tensor:
        """The rows from `start` up to `stop` of the tensor in whose place the mark stands, in the CPU's memory."""
        name, shape = mark[_MARK], mark["shape"]
        stop = shape[0] if stop is None else stop
        found = []
        for starts, values in self._opened:
            first, there = starts[name], values[name]
            found.append(there[max(0, start - first) : max(0, stop - first)])
        return torch.cat(found)

    @cached_property
    def _opened(self) -> list[tuple[dict[str, int], dict[str, Tensor]]]:
        # Nothing is read before it is looked at.
        opened = [torch.load(path, map_location="cpu", weights_only=True, mmap=True) for path in self.files]
        return [(each["starts"], each["values"]) for each in opened]


def rows(content: Any, pieces: Pieces, start: int, stop: int) -> Tensor:
    """Rows of a tensor that a checkpoint holds whole, or a mark of; new memory."""
    return pieces.rows(content, start, stop) if is_mark(content) else content[start:stop].clone()


def joined(content: Any, pieces: Pieces) -> Any:
    """Nested containers with whole tensors in the places of marks."""
    if is_mark(content):
        return pieces.rows(content)
    if isinstance(content, list):
        return [joined(value, pieces) for value in content]
    return {key: joined(value, pieces) for key, value in content.items()} if isinstance(content, dict) else content


def is_mark(content: Any) -> bool:
    """Whether this stands for a tensor in pieces."""
    return isinstance(content, dict) and _MARK in content
