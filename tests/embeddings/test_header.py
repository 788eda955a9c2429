"""Headers of safetensors files: what the library writes is read, what could harm is refused."""

import json
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from lexigraft.embeddings.header import LENGTH_BYTES, header_length, parse_header

DATA = 64


def whole(header: bytes, data: int = DATA) -> bytes:
    return len(header).to_bytes(8, "little") + header + bytes(data)


def parsed(file: bytes) -> dict[str, Any]:
    length = header_length(file[:1000], len(file), "f")
    return parse_header(file[LENGTH_BYTES : LENGTH_BYTES + length], len(file), "f")


def entry(dtype: Any = "F32", shape: Any = (4, 4), offsets: Any = (0, 64)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def test_what_the_library_writes() -> None:
    tensors = {
        str(dtype): torch.ones(3, 5).to(dtype)
        for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool)
    } | {"none": torch.empty(0, 7), "scalar": torch.tensor(2.0), "fp8": torch.ones(3).to(torch.float8_e4m3fn)}
    file = save(tensors, {"format": "pt"})
    slots = parsed(file)
    assert {n: (s.dtype, s.shape) for n, s in slots.items()} == {
        n: (t.dtype, tuple(t.shape)) for n, t in tensors.items()
    }
    for name, slot in slots.items():
        raw = tensors[name].reshape(-1).view(torch.uint8) if tensors[name].numel() else torch.empty(0)
        assert file[slot.start : slot.stop] == bytes(raw.tolist())


BAD: dict[str, tuple[bytes, str]] = {
    "short": (b"\x10\0\0", "a header of 16 bytes in a file of 3"),
    "long header": (b"\xff" * 8 + bytes(100), "a header of 18,446,744,073,709,551,615 bytes in a file of 108"),
    "empty header": (whole(b""), "a header of 0 bytes"),
    "no JSON": (whole(b"{]"), "JSONDecodeError"),
    "no text": (whole(b'{"\xff": 1}'), "UnicodeDecodeError"),
    "deep": (whole(b'{"a": ' + b"[" * 90_000), "RecursionError|JSONDecodeError"),
    "list": (whole(b"[1]"), "a list as header"),
    "no entry": (whole(b'{"a": 1}'), "the entry of tensor 'a' is no dtype, shape and data_offsets"),
    "no dtype": (whole(json.dumps({"a": entry(dtype=3)}).encode()), "the entry of tensor 'a'"),
    "negative": (whole(json.dumps({"a": entry(shape=[-4, -4])}).encode()), "the entry of tensor 'a'"),
    "fraction": (whole(json.dumps({"a": entry(offsets=[0, 64.0])}).encode()), "the entry of tensor 'a'"),
    "truth": (whole(json.dumps({"a": entry(offsets=[False, 64])}).encode()), "the entry of tensor 'a'"),
    "three offsets": (whole(json.dumps({"a": entry(offsets=[0, 1, 2])}).encode()), "the entry of tensor 'a'"),
    "outside": (whole(json.dumps({"a": entry(shape=[4, 5], offsets=[0, 80])}).encode()), "'a' lies outside the file"),
    "backwards": (whole(json.dumps({"a": entry(offsets=[64, 0])}).encode()), "'a' lies outside the file"),
    "many dimensions": (whole(json.dumps({"a": entry(shape=[1] * 65)}).encode()), "'a' lies outside the file"),
    "other size": (whole(json.dumps({"a": entry(shape=[4, 3])}).encode()), r"shape \[4, 3\] and type F32 has 64 bytes"),
    "huge": (whole(json.dumps({"a": entry(shape=[2**62] * 60 + [0])}).encode()), "and type F32 has 64 bytes"),
    "overlap": (
        whole(json.dumps({"a": entry(), "b": entry(shape=[2], offsets=[60, 68])}).encode(), 100),
        "the tensors 'a' and 'b' overlap",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_headers_get_one_sentence(kind: str) -> None:
    file, message = BAD[kind]
    with pytest.raises(ValueError, match=f"f is cut off or no safetensors file .*({message})") as caught:
        parsed(file)
    assert "\n" not in str(caught.value)


def test_a_header_of_more_than_100_mb() -> None:
    with pytest.raises(ValueError, match="a header of 100,000,001 bytes"):
        header_length((100_000_001).to_bytes(8, "little"), 10**12, "f")


def test_types_that_torch_lacks_matter_only_if_they_are_read() -> None:
    slot = parsed(whole(json.dumps({"a": entry(dtype="F4", shape=[128])}).encode()))["a"]
    with pytest.raises(ValueError, match="tensors of type F4 cannot be read: one of BOOL, U8"):
        slot.dtype  # noqa: B018 - it raises


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
SIZES = st.integers(0, 2 * DATA) | st.integers(0, 2**70)
ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "BF16", "U8", "F4", 1]) | JSON,
        "shape": st.lists(SIZES, max_size=3) | JSON,
        "data_offsets": st.lists(SIZES, min_size=2, max_size=2) | JSON,
    }
)


def _is_safe(file: bytes) -> None:
    """Whatever the bytes: a `ValueError`, or slots inside the file that do not overlap."""
    try:
        slots = parsed(file)
    except ValueError:
        return
    taken: set[int] = set()
    for slot in slots.values():
        assert LENGTH_BYTES <= slot.start <= slot.stop <= len(file)
        assert taken.isdisjoint(range(slot.start, slot.stop))
        taken.update(range(slot.start, slot.stop))
        if slot.kind in ("F32", "BF16", "U8"):
            assert math.prod(slot.shape) * slot.dtype.itemsize == slot.stop - slot.start


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=4), ENTRIES | JSON, max_size=4))
def test_any_header(content: dict[str, Any]) -> None:
    _is_safe(whole(json.dumps(content).encode()))


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(file: bytes) -> None:
    _is_safe(file)


@settings(deadline=None)
@given(st.data())
def test_a_good_file_with_some_bytes_changed(data: st.DataObject) -> None:
    file = bytearray(save({"a": torch.ones(2, 3), "b": torch.ones(5, dtype=torch.bfloat16)}))
    for _ in range(data.draw(st.integers(1, 4))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    _is_safe(bytes(file[: data.draw(st.integers(0, len(file)))]))
