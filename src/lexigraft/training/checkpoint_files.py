"""Checkpoints as files: whole or not there, with checksums, and the one before kept in case the newest is damaged."""

import copy
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from torch import Tensor

from lexigraft.training.pieces import Pieces, joined

BEST, LAST, PREVIOUS = "best.ckpt", "last.ckpt", "previous.ckpt"
PIECES = "pieces"  # the folder of what each rank writes of a checkpoint that is sharded


class CheckpointFiles(TorchCheckpointIO):
    """Writes `last.ckpt` in a folder, keeps the one before as `previous.ckpt` and a better one as `best.ckpt`.

    A file is written beside its place, synchronised and moved there. `background`: a thread writes a copy that is made
    in the CPU's memory, while training goes on; the next write waits for it. For the `plugins` of Lightning's trainer,
    which passes a checkpoint on one rank alone. An error of the thread is raised by the next write, or by `wait`.

    Of a sharded checkpoint the ranks' pieces lie in a folder of their own, which the file names under "pieces"; it is
    part of the checkpoint and goes with the last file that names it.
    """

    def __init__(self, folder: Path, background: bool = False) -> None:
        self.folder = folder
        self.newest: Path | None = None  # the one that is known to be whole
        self._thread = ThreadPoolExecutor(1, "checkpoint") if background else None
        self._writing: Future[None] | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write what the trainer hands over for `last.ckpt` of the folder; other files as Lightning does."""
        if Path(path) != self.folder / LAST:
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        self.wait()
        if self._thread is None:
            self._write(checkpoint)
        else:
            self._writing = self._thread.submit(self._write, on_cpu(checkpoint))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """A checkpoint with whole tensors; of a sharded one they are brought together."""
        loaded = super().load_checkpoint(path, map_location, weights_only)
        pieces = _pieces(self.folder, loaded)
        return joined(loaded, pieces) if pieces.files else loaded

    def opened(self, path: Path) -> tuple[dict[str, Any], Pieces]:
        """A checkpoint whose tensors are read when they are looked at, with its pieces, if it has any."""
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return loaded, _pieces(self.folder, loaded)

    def new_pieces(self) -> str:
        """A new folder for the pieces of a checkpoint, by its name; for the first rank alone to ask."""
        there = self.folder / PIECES
        there.mkdir(parents=True, exist_ok=True)
        name = str(1 + max((int(each.name) for each in there.iterdir()), default=0))
        (there / name).mkdir()
        return name

    def piece(self, name: str, rank: int) -> Path:
        """The file of a rank's piece."""
        return _piece(self.folder, name, rank)

    @contextmanager
    def written(self) -> Iterator[None]:
        """Nothing is left to be written after this, however it ends."""
        try:
            yield
            self.wait()
        finally:
            if self._thread is not None:
                self._thread.shutdown()

    def wait(self) -> None:
        """Until what was handed over lies on the disk."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def resumable(self, say: Callable[[str], None]) -> Path | None:
        """The newest checkpoint that is whole, None if there is none; of each that is damaged a sentence is said.

        Nothing is changed: all ranks may ask before rank 0 writes.
        """
        last, previous, best = (self.folder / name for name in (LAST, PREVIOUS, BEST))
        there = [path for path in (last, previous) if path.is_file()]
        self.newest = next((path for path in there if is_whole(path)), None)
        if self.newest is not None and best.is_file() and not is_whole(best):
            self.newest = None
            say(f"{best} is damaged, and the weights in it are nowhere else: training begins anew")
        elif there and self.newest is None:
            names = " and ".join(map(str, there))
            say(f"{names} {'is' if len(there) == 1 else 'are'} damaged: training begins anew")
        elif self.newest is not None and self.newest != last:
            what = "is damaged" if last.is_file() else "is missing"
            say(f"{last} {what}: training goes on from {previous.name}, the checkpoint before it")
        return self.newest

    def tidy(self) -> None:
        """Take away what only a resumption needs, but for `last.ckpt`, when training is over."""
        for name in (PREVIOUS, f"{LAST}.tmp", f"{PREVIOUS}.tmp", f"{BEST}.tmp"):
            (self.folder / name).unlink(missing_ok=True)
        self._drop_pieces()

    def drop_last(self) -> None:
        """Take away `last.ckpt`, from which nobody is to go on."""
        (self.folder / LAST).unlink(missing_ok=True)
        self._drop_pieces()

    def _write(self, checkpoint: dict[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        new, last = self.folder / f"{LAST}.tmp", self.folder / LAST
        save_whole(checkpoint, new)
        if self.newest is None:  # of an earlier attempt that could not go on
            for name in (PREVIOUS, BEST):
                (self.folder / name).unlink(missing_ok=True)
        if checkpoint["lexigraft"]["better"]:
            _link(new, self.folder / BEST)
        if self.newest == last:  # one that is damaged must not take the place of a whole one
            _link(last, self.folder / PREVIOUS)
        new.replace(last)
        synchronise(self.folder)
        self.newest = last
        self._drop_pieces()

    def _drop_pieces(self) -> None:
        """Take away pieces of checkpoints that are gone."""
        there = self.folder / PIECES
        if not there.is_dir():
            return
        files = (self.folder / name for name in (LAST, PREVIOUS, BEST))
        named = {_named(path) for path in files if path.is_file()}
        for each in there.iterdir():
            if each.name not in named:
                shutil.rmtree(each, ignore_errors=True)
        if named <= {None}:
            shutil.rmtree(there, ignore_errors=True)


def is_whole(path: Path) -> bool:
    """Whether a checkpoint holds what was written: torch's format has a CRC-32 of each record, which loading ignores.

    Costs reading it once.
    """
    return _is_whole(path) and all(_is_whole(piece) for piece in _pieces(path.parent, _content(path)).files)


def _content(path: Path) -> dict[str, Any]:
    """What a file holds, its tensors as yet unread."""
    loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return loaded


def _named(path: Path) -> str | None:
    """The folder of a checkpoint's pieces; None of one that is not sharded, or cannot be read."""
    if not _is_whole(path):
        return None
    name: str | None = _content(path).get("pieces", {}).get("folder")
    return name


def _pieces(folder: Path, checkpoint: dict[str, Any]) -> Pieces:
    of = checkpoint.get("pieces", {"folder": "", "ranks": 0})
    return Pieces(tuple(_piece(folder, of["folder"], rank) for rank in range(of["ranks"])))


def _piece(folder: Path, name: str, rank: int) -> Path:
    return folder / PIECES / name / f"rank_{rank}.ckpt"


def _is_whole(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as records:
            return records.testzip() is None
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError):
        return False


def save_whole(content: dict[str, Any], path: Path) -> None:
    """`torch.save`, until it lies on the disk."""
    with open(path, "wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())


def synchronise(folder: Path) -> None:
    """Have the names in a folder written to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def on_cpu(content: Any, seen: dict[Any, Tensor] | None = None) -> Any:
    """A copy of nested containers that nobody else changes, all tensors in the CPU's memory; equal ones stay shared."""
    seen = {} if seen is None else seen
    if isinstance(content, Tensor):
        place = (content.device, content.data_ptr(), content.dtype, content.shape, content.stride())
        if not content.numel():
            return content.detach().cpu()
        if place not in seen:
            seen[place] = content.detach().to("cpu", copy=True)
        return seen[place]
    if isinstance(content, dict):
        copied = copy.copy(content)  # of its own type, with what a state_dict carries beside
        copied.update((key, on_cpu(value, seen)) for key, value in content.items())
        return copied
    if isinstance(content, (list, tuple)) and type(content) in (list, tuple):
        return type(content)(on_cpu(value, seen) for value in content)
    return content


def _link(file: Path, name: Path) -> None:
    """Let the file have this name too, in the place of what had it."""
    temporary = name.with_name(f"{name.name}.tmp")
    temporary.unlink(missing_ok=True)
    os.link(file, temporary)
    temporary.replace(name)
