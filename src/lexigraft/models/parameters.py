"""Parameter groups for the optimizer."""

from typing import Any

from torch import nn


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Groups `decay` and `no_decay` (keys name, params, weight_decay); every parameter is in exactly one.

    Weights of linear, convolutional, recurrent and attention layers decay. Embeddings (of words, positions,
    segments, relative distances), biases and norms do not. Frozen parameters are listed too: they may thaw later.
    """
    embeddings = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for parameter in model.parameters():
        matrix = parameter.ndim > 1 and id(parameter) not in embeddings
        (decayed if matrix else spared).append(parameter)
    groups = [
        {"name": "decay", "params": decayed, "weight_decay": weight_decay},
        {"name": "no_decay", "params": spared, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
