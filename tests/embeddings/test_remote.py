"""Tensors of a file on a server, each fetched alone and mapped."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from lexigraft import web
from lexigraft.embeddings.remote import RemoteTensors
from lexigraft.web_file import WebFile
from tests.fixtures.hub_server import isolate_hub
from tests.fixtures.web_server import Server, serving

TENSORS = {
    "matrix": torch.arange(6000, dtype=torch.float32).view(100, 60).to(torch.bfloat16),
    "body": torch.zeros(500_000),
    "bytes": torch.arange(7, dtype=torch.uint8),
    "odd": torch.arange(5, dtype=torch.float16),
    "scalar": torch.tensor(2.5, dtype=torch.float64),
    "none": torch.empty(0, 3),
    "truth": torch.tensor([True, False]),
}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    isolate_hub(str(tmp_path), monkeypatch)
    monkeypatch.setattr(web, "FIRST_PAUSE", 0.0)
    with serving({"/m.safetensors": save(TENSORS)}) as found:
        yield found


def remote(server: Server, first: int = 100) -> RemoteTensors:
    return RemoteTensors(WebFile(f"{server.address}/m.safetensors", first=first))


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("first", [8, 100, 5000])
def test_every_tensor(server: Server, ranges: bool, first: int) -> None:
    server.ranges = ranges
    found = remote(server, first)
    assert set(found.slots) == set(TENSORS)
    for name, tensor in TENSORS.items():
        assert found.slots[name].shape == tuple(tensor.shape)
        assert found.read(name).dtype == tensor.dtype
        assert torch.equal(found.read(name), tensor)
    assert abs(found.fetched - server.total) <= 5000
    assert ranges or found.fetched == server.total == len(server.files["/m.safetensors"])


def test_an_unaligned_file_without_ranges(server: Server) -> None:
    header = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    assert len(header) % 4
    server.files["/m.safetensors"] = (
        len(header).to_bytes(8, "little") + header + bytes(torch.ones(2).view(torch.uint8).tolist())
    )
    server.ranges = False
    assert remote(server).read("a").tolist() == [1, 1]


def test_what_is_fetched_is_counted_and_kept(server: Server) -> None:
    found = remote(server)
    matrix = found.read("matrix")
    assert found.fetched == server.total < 13_000 < len(server.files["/m.safetensors"]) / 100
    matrix[0] = -1  # a copy of the page, in memory
    server.forget()
    again = remote(server)
    assert torch.equal(again.read("matrix"), TENSORS["matrix"])
    assert again.fetched == found.fetched
    assert server.total == 0


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_that_is_no_safetensors_file(server: Server, ranges: bool) -> None:
    server.ranges = ranges
    sound = server.files["/m.safetensors"]
    for damaged in (sound[:-1], sound[:50], b"<html>not found</html>", b"ab"):
        server.files["/m.safetensors"] = damaged
        with pytest.raises(ValueError, match="m.safetensors is cut off or no safetensors file"):
            remote(server).read("matrix")
