"""Bytes that an optimizer keeps beside the weights, found by a step on tensors without contents."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode


def state_bytes(optimizer: Optimizer, dtype: torch.dtype | None = None) -> int:
    """What the optimizer keeps after its first step, of weights of the type `dtype` (None: of their own).

    The optimizer is spoilt afterwards: its groups hold stand-ins on the device "meta". Weights without gradient have
    no state. Of an optimizer whose step cannot be made on such tensors, two numbers a weight are counted, as for Adam.
    """
    counts: dict[Tensor, int] = {}
    for group in optimizer.param_groups:
        # One of each form stands for all of them, which spares most of the time.
        alike: dict[Any, list[Tensor]] = {}
        for weight in group["params"]:
            alike.setdefault((weight.shape, weight.dtype, weight.requires_grad), []).append(weight)
        made: dict[Tensor, int] = {_stand_in(optimizer, those[0], dtype): len(those) for those in alike.values()}
        for those in alike.values():
            for weight in those:
                optimizer.state.pop(weight, None)
        group["params"] = list(made)
        counts |= made
        # The kernels of a whole group need a real device; what they keep is the same.
        group.update({key: False for key in ("fused", "foreach") if key in group})
    try:
        with _AnyNumber():
            optimizer.step()
    except (RuntimeError, NotImplementedError, TypeError):
        return 2 * sum(count * weight.nbytes for weight, count in counts.items() if weight.grad is not None)
    return sum(counts[weight] * _bytes(state) for weight, state in optimizer.state.items())


def fused(optimizer: Optimizer) -> bool:
    """Whether every step is one pass over each weight, which needs no memory of its own."""
    return all(group.get("fused") for group in optimizer.param_groups)


class _AnyNumber(TorchDispatchMode):
    """Where an optimizer asks for the value of a tensor without contents (a norm, say), it is told 1."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and args[0].device.type == "meta":
            return 1.0
        return func(*args, **(kwargs or {}))


def _stand_in(optimizer: Optimizer, weight: Tensor, dtype: torch.dtype | None) -> nn.Parameter:
    """A weight without contents, with a gradient if this one needs one, and with the state that it has already."""
    made = nn.Parameter(_empty(weight, dtype), requires_grad=weight.requires_grad)
    if weight.requires_grad:
        made.grad = torch.empty_like(made)
    if weight in optimizer.state:  # Adagrad's is there from the start
        state = optimizer.state[weight]
        optimizer.state[made] = {
            name: _empty(value, dtype) if isinstance(value, Tensor) and value.ndim else value
            for name, value in state.items()
        }
    return made


def _empty(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    kind = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
    return torch.empty(tensor.shape, dtype=kind, device="meta")


def _bytes(state: Any) -> int:
    if isinstance(state, Tensor):
        return state.nbytes
    if isinstance(state, dict):
        return sum(_bytes(value) for value in state.values())
    return sum(_bytes(value) for value in state) if isinstance(state, (list, tuple)) else 0
