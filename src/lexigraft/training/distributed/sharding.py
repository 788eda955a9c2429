"""Weights, gradients and optimizer state cut into pieces, one for each rank, by torch's `fully_shard` (FSDP2)."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import CPUOffloadPolicy, OffloadPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, Replicate, Shard

from lexigraft.training.pieces import Piece
from lexigraft.training.recomputing import layers


def shard(model: nn.Module, mesh: DeviceMesh, *, methods: tuple[str, ...] = (), cpu_offload: bool = False) -> None:
    """Cut a model's weights in place among the ranks of `mesh`, each of its blocks, then what is left, as one portion.

    A portion is brought together when it is computed with. `methods` of the model are what is called beside its
    `forward`. Names of parameters stay. `cpu_offload` keeps the pieces in the memory of the CPU.
    """
    settings: dict[str, Any] = {"mesh": mesh, "offload_policy": CPUOffloadPolicy() if cpu_offload else OffloadPolicy()}
    for block in layers(model):
        fully_shard(block, **settings)
    # What is left stays together for a step, as its methods follow one another and regularisers read it.
    fully_shard(model, reshard_after_forward=False, **settings)
    for method in methods:
        register_fsdp_forward_method(model, method)


def as_of_first(module: nn.Module) -> None:
    """Let all ranks have the weights and buffers of the first one."""
    for tensor in (*module.parameters(), *module.buffers()):
        dist.broadcast(tensor.detach(), 0)


def hollow(module: nn.Module) -> nn.Module:
    """A copy without the memory of its weights, to be filled when the module itself is cut into pieces."""
    empty: dict[int, Any] = {
        id(weight): nn.Parameter(torch.empty_like(weight, device="meta"), requires_grad=weight.requires_grad)
        for weight in module.parameters()
    }
    return copy.deepcopy(module, empty)


def filled(module: nn.Module) -> nn.Module:
    """What `hollow` made, with memory for its weights, whatever that holds."""
    made: dict[int, nn.Parameter] = {}
    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None and weight.is_meta:
                if id(weight) not in made:
                    made[id(weight)] = nn.Parameter(torch.empty_like(weight, device="cpu"), weight.requires_grad)
                part._parameters[name] = made[id(weight)]
    return module


def weights_of(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of all that a checkpoint needs, of active rows the rows and the witness themselves."""
    for prefix, part in module.named_modules(remove_duplicate=False):
        kept = {name: buffer for name, buffer in part._buffers.items() if name not in part._non_persistent_buffers_set}
        for name, tensor in (*part._parameters.items(), *kept.items()):
            if tensor is not None:
                yield f"{prefix}.{name}" if prefix else name, tensor.detach()


def piece_of(tensor: Any) -> Any:
    """The rank's piece of a tensor that is cut by rows; one that all ranks hold, and what is no tensor, as it is."""
    if not isinstance(tensor, DTensor):
        return tensor
    (placement,) = tensor.placements
    if isinstance(placement, Replicate):
        return tensor.to_local()
    assert isinstance(placement, Shard), "neither whole nor cut"
    assert placement.dim == 0, "cut by rows"
    return Piece(tensor.to_local(), rows_of(tensor)[0], tuple(tensor.shape))


def rows_of(tensor: DTensor) -> tuple[int, int]:
    """The first row of the rank's piece and the one after the last; pieces are of equal size, but for the last ones."""
    count, ranks, rank = tensor.shape[0], tensor.device_mesh.size(), tensor.device_mesh.get_local_rank()
    portion = -(-count // ranks)
    start, stop = min(rank * portion, count), min((rank + 1) * portion, count)
    assert len(tensor.to_local()) == stop - start
    return start, stop


def like(tensor: DTensor, values: Tensor) -> DTensor:
    """The rank's rows of another tensor that is cut as this one."""
    return DTensor.from_local(
        values.to(tensor.to_local()),
        tensor.device_mesh,
        tensor.placements,
        run_check=False,
        shape=tensor.shape,
        stride=tensor.stride(),
    )
