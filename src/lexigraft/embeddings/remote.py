"""The tensors of a safetensors file on a server: its header and the tensors that are asked for are fetched, no more."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from lexigraft.embeddings.header import LENGTH_BYTES, Slot, header_length, parse_header
from lexigraft.web_file import WebFile


@dataclass
class RemoteTensors:
    """Tensors by name; the bytes of each are fetched when it is read, and kept in the cache."""

    file: WebFile
    _read: set[str] = field(default_factory=set)

    @cached_property
    def slots(self) -> dict[str, Slot]:
        """Tensor name -> its type, shape and place; `ValueError` where the file is no sound safetensors file."""
        return parse_header(self._start[LENGTH_BYTES:], self.file.version.size, self.file.url)

    def read(self, tensor: str) -> torch.Tensor:
        """The tensor, mapped from the cache; what is written to it stays in memory. `KeyError` if there is none."""
        slot = self.slots[tensor]
        dtype, count = slot.dtype, slot.stop - slot.start
        self._read.add(tensor)
        if count == 0:
            return torch.empty(slot.shape, dtype=dtype)
        path, before = self._piece(slot.start, slot.stop)
        mapped = torch.from_file(str(path), shared=False, size=before + count, dtype=torch.uint8)[before:]
        if before % dtype.itemsize:
            mapped = mapped.clone()
        return mapped.view(dtype).reshape(slot.shape)

    @property
    def fetched(self) -> int:
        """How many bytes of the file the tensors read so far need in the cache, the header included."""
        if not self.file.version.ranges:
            return self.file.version.size
        return max(self._first, len(self._start)) + sum(self.slots[t].stop - self.slots[t].start for t in self._read)

    @cached_property
    def _start(self) -> bytes:
        """The header's length and the header."""
        start = self._bytes(0, self._first)
        length = LENGTH_BYTES + header_length(start, self.file.version.size, self.file.url)
        return start[:length] if length <= len(start) else start + self._bytes(len(start), length)

    @property
    def _first(self) -> int:
        """The bytes that came with the first answer."""
        return min(self.file.first or self.file.version.size, self.file.version.size)

    def _bytes(self, start: int, stop: int) -> bytes:
        path, before = self._piece(start, stop)
        with path.open("rb") as file:
            file.seek(before)
            return file.read(stop - start)

    def _piece(self, start: int, stop: int) -> tuple[Path, int]:
        """A local file with these bytes of the file, and where in it they begin."""
        return self.file.piece(start, stop), 0 if self.file.version.ranges else start
