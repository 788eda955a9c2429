"""Writing a checkpoint's weights shard by shard, most of them straight from the files of another one."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from lexigraft.embeddings.weights import open_weights
from lexigraft.permissions import as_any_new_file

_GB = 10**9


@dataclass(frozen=True)
class Stock:
    """What a checkpoint folder holds: shape and bytes of each tensor, and which name it shares its numbers with."""

    folder: Path
    shapes: dict[str, tuple[int, ...]]
    bytes: dict[str, int]
    shared_with: dict[str, str]

    def read(self, tensor: str) -> torch.Tensor:
        """The tensor, mapped from its file."""
        return open_weights(str(self.folder), None, self.folder).read(tensor)


def take_stock(folder: Path) -> Stock:
    """The tensors of a folder, in the order of its files; only headers are read."""
    weights = open_weights(str(folder), None, folder)
    shapes: dict[str, tuple[int, ...]] = {}
    sizes: dict[str, int] = {}
    first: dict[tuple[int, tuple[int, ...], tuple[int, ...]], str] = {}
    shared: dict[str, str] = {}
    pickled = any(file.endswith(".bin") for file in weights.files.values())
    kept = []  # an address says something only as long as the tensor lives
    for name in sorted(weights.names, key=lambda n: (weights.files[n], n)):
        tensor = weights.read(name)
        shapes[name], sizes[name] = tuple(tensor.shape), tensor.nbytes
        if pickled and tensor.nbytes:
            kept.append(tensor)
            where = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride())
            if where in first:
                shared[name] = first[where]
            first.setdefault(where, name)
    return Stock(folder, shapes, sizes, shared)


def write_weights(stock: Stock, new: Mapping[str, torch.Tensor], without: set[str], shard_gb: float, to: Path) -> int:
    """Write all tensors but `without`, those in `new` instead of the old ones; returns their bytes.

    One `model.safetensors`, or shards of at most `shard_gb` gigabytes (10^9 bytes; a tensor is never divided) with
    `model.safetensors.index.json`. Only one shard at a time is in memory. `ValueError` where the disk has no room.
    """
    sizes = {n: new[n].nbytes if n in new else size for n, size in stock.bytes.items() if n not in without}
    shards = _divided(sizes, int(shard_gb * _GB))
    total = sum(sizes.values())
    free = shutil.disk_usage(to).free
    if total > free:
        raise ValueError(
            f"the new checkpoint needs {total / _GB:.1f} GB and the disk of {to.parent} has {free / _GB:.1f} GB free: "
            "choose another output"
        )
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards, 1):
        file = "model.safetensors" if len(shards) == 1 else f"model-{number:05}-of-{len(shards):05}.safetensors"
        _write_shard(stock.folder, names, new, to / file)
        weight_map |= dict.fromkeys(names, file)
    if len(shards) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
        text = json.dumps(index, indent=2) + "\n"
        (to / "model.safetensors.index.json").write_text(text, encoding="utf-8")
    return total


def _divided(sizes: Mapping[str, int], limit: int) -> list[list[str]]:
    shards: list[list[str]] = [[]]
    filled = 0
    for name, size in sizes.items():
        if shards[-1] and filled + size > limit:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
    return shards


def _write_shard(folder: Path, names: list[str], new: Mapping[str, torch.Tensor], to: Path) -> None:
    """Opened anew for each shard: what was mapped for the one before is let go of with its files."""
    weights = open_weights(str(folder), None, folder)
    tensors: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name in names:
        tensor = (new[name] if name in new else weights.read(name)).contiguous()
        # safetensors refuses tensors that share memory.
        tensors[name] = tensor.clone() if tensor.data_ptr() in seen else tensor
        seen.add(tensor.data_ptr())
    try:
        save_file(tensors, to, metadata={"format": "pt"})
    except SafetensorError as error:  # of which it makes every error of the disk
        raise OSError(f"{to} could not be written: {error}") from error
    as_any_new_file(to)
