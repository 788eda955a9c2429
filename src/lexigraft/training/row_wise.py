"""Whether an optimizer treats each row of a matrix alone, so that rows without gradient need not be trained at all."""

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

# What torch's own need: the name of the constant that keeps 0 / 0 out of rows without gradient, where there is one,
# and whether decay may be part of the gradient. It may where a step is linear in gradient and weight: then it shrinks
# all resting rows by one factor, as decoupled decay does. After a division by the gradient's size it does not.
_TORCH: dict[type[Optimizer], tuple[str | None, bool]] = {
    torch.optim.SGD: (None, True),
    torch.optim.Adam: ("eps", False),
    torch.optim.AdamW: ("eps", False),
    torch.optim.NAdam: ("eps", False),
    torch.optim.RAdam: ("eps", False),
    torch.optim.RMSprop: ("eps", False),
    torch.optim.Adagrad: ("eps", False),
    torch.optim.Adadelta: ("eps", False),
    torch.optim.Adamax: ("eps", False),
}
_LION_COUPLES = ("use_gc", "adanorm", "cautious")  # options of pytorch_optimizer's Lion

_COUPLES = {
    "muon": "makes the whole matrix orthogonal, by steps that depend on all its rows and on their number",
    "adafactor": "keeps second moments by row and by column, so each row's step depends on all others",
    "lamb": "scales its step by the norm of the whole matrix, so each row's step depends on all others",
    "lars": "scales its step by the norm of the whole matrix, so each row's step depends on all others",
    "lbfgs": "takes one step for all weights together, so each row's step depends on all others",
    "shampoo": "multiplies the whole matrix by its statistics, so each row's step depends on all others",
    "soap": "turns the whole matrix into the basis of its statistics, so each row's step depends on all others",
    "sparseadam": "expects sparse gradients, and the embedding's are dense",
}


def why_not(optimizer: Optimizer, weight: Tensor) -> str | None:
    """None if rows of `weight` `[V, D]` without gradient move by one factor at most; else a sentence that says why not.

    An optimizer made of several (its `optimizers`) is judged by the one that holds the weight.
    """
    found = _holder(optimizer, weight)
    if found is None:
        return f"{type(optimizer).__name__} does not hold the embedding's rows"
    holder, group = found
    kind, name = type(holder), type(holder).__name__
    if kind in _TORCH:
        constant, coupled_decay = _TORCH[kind]
        if constant is not None and not _positive(group[constant], weight):
            return f"{name} with {constant}={group[constant]} makes NaN of rows without gradient: give a larger one"
        decoupled = kind is torch.optim.AdamW or group.get("decoupled_weight_decay", False)
        if group["weight_decay"] and not (decoupled or coupled_decay):
            return (
                f"{name} makes weight_decay={group['weight_decay']} of the embedding part of the gradient, so rows "
                "that the data does not use move too: use decoupled decay (AdamW), or none for embeddings"
            )
        return None
    if name == "Lion" and kind.__module__.startswith("pytorch_optimizer."):
        return _why_not_lion(group)
    if name.lower() in _COUPLES:
        return f"{name} {_COUPLES[name.lower()]}"
    return f"it is not known of {name} whether it treats each row of a matrix alone"


def _why_not_lion(group: dict[str, Any]) -> str | None:
    for option in _LION_COUPLES:
        if group.get(option):
            return f"Lion with {option}=true takes the whole matrix into each row's step"
    if group["weight_decay"] and not group["weight_decouple"]:
        return (
            f"Lion with weight_decouple=false makes weight_decay={group['weight_decay']} of the embedding part of the "
            "gradient, so rows that the data does not use move too: use decoupled decay, or none for embeddings"
        )
    return None


def _holder(optimizer: Optimizer, weight: Tensor) -> tuple[Optimizer, dict[str, Any]] | None:
    """The optimizer, or the one of several, whose group holds the weight, and that group."""
    for part in getattr(optimizer, "optimizers", ()):
        found = _holder(part, weight)
        if found is not None:
            return found
    for group in optimizer.param_groups:
        if any(parameter is weight for parameter in group["params"]):
            return optimizer, group
    return None


def _positive(constant: float, weight: Tensor) -> bool:
    """Whether the constant is above zero as a number of the weight's type (1e-8 is not in float16)."""
    return bool(torch.tensor(constant, dtype=weight.dtype) > 0)
