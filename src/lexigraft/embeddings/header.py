"""The header of a safetensors file: which bytes are which tensor. Nothing in it is believed unchecked.

A file is the header's length (8 bytes, little endian), the header (JSON: name -> dtype, shape, data_offsets), the data.
"""

import json
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeGuard

import torch

LENGTH_BYTES = 8
LONGEST = 100_000_000  # as in the safetensors library
_MOST_DIMENSIONS = 64
# The format's names of the types that torch has under every version that we run with.
_DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "U16": torch.uint16,
    "I16": torch.int16,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "U32": torch.uint32,
    "I32": torch.int32,
    "F32": torch.float32,
    "U64": torch.uint64,
    "I64": torch.int64,
    "F64": torch.float64,
    "C64": torch.complex64,
}


@dataclass(frozen=True)
class Slot:
    """A tensor's type, shape, and place in the file: its bytes are those from `start` to before `stop`."""

    kind: str
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def dtype(self) -> torch.dtype:
        """`ValueError` for types that torch does not have."""
        if self.kind not in _DTYPES:
            raise ValueError(f"tensors of type {self.kind} cannot be read: one of {', '.join(_DTYPES)} is expected")
        return _DTYPES[self.kind]


def header_length(start: bytes, size: int, file: str) -> int:
    """The bytes of the header, from the first bytes of a file of `size` bytes; `ValueError` if that makes no sense."""
    length = int.from_bytes(start[:LENGTH_BYTES], "little")
    if len(start) < LENGTH_BYTES or not 2 <= length <= min(LONGEST, size - LENGTH_BYTES):
        raise _no_header(file, f"a header of {length:,} bytes in a file of {size:,}")
    return length


def parse_header(header: bytes, size: int, file: str) -> dict[str, Slot]:
    """Tensor name -> slot, from the JSON of a file of `size` bytes.

    `ValueError` unless the tensors lie inside the file, do not overlap, and have the bytes that their shapes say.
    """
    try:
        content = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise _no_header(file, f"{type(error).__name__}: {error}") from error
    if not isinstance(content, dict):
        raise _no_header(file, f"a {type(content).__name__} as header")
    data = LENGTH_BYTES + len(header)
    slots = {n: _slot(n, entry, data, size, file) for n, entry in content.items() if n != "__metadata__"}
    for (name, slot), (following, behind) in pairwise(sorted(slots.items(), key=lambda s: (s[1].start, s[1].stop))):
        if slot.stop > behind.start:
            raise _no_header(file, f"the tensors {name!r} and {following!r} overlap")
    return slots


def _slot(name: str, entry: Any, data: int, size: int, file: str) -> Slot:
    """One entry, checked; `data` is where the file's data begin."""
    kind, shape, offsets = (
        entry.get(k) if isinstance(entry, dict) else None for k in ("dtype", "shape", "data_offsets")
    )
    if not (isinstance(kind, str) and _counts(shape) and _counts(offsets) and len(offsets) == 2):
        raise _no_header(file, f"the entry of tensor {name!r} is no dtype, shape and data_offsets")
    start, stop = offsets
    if not (start <= stop <= size - data and len(shape) <= _MOST_DIMENSIONS):
        raise _no_header(file, f"tensor {name!r} lies outside the file")
    known = _DTYPES.get(kind)
    # A size beyond the file's is caught before the product of the shape grows without limit.
    if known is not None and (max(shape, default=0) > size or math.prod(shape) * known.itemsize != stop - start):
        raise _no_header(file, f"tensor {name!r} of shape {shape[:8]} and type {kind} has {stop - start:,} bytes")
    return Slot(kind, tuple(shape), data + start, data + stop)


def _counts(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(number) is int and number >= 0 for number in value)


def _no_header(file: str, reason: str) -> ValueError:
    return ValueError(f"{file} is cut off or no safetensors file ({reason}): fetch it again")
