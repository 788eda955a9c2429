"""Parameter groups for the optimizer."""

from collections.abc import Callable
from typing import Any

from torch import nn

from lexigraft.models.stages import WORD_ROWS


def parameter_groups(
    model: nn.Module,
    weight_decay: float,
    lr_scale: Callable[[str, int], float] | None = None,
    *,
    epochs: int = 1,
    decay_embeddings: bool = False,
) -> list[dict[str, Any]]:
    """Groups of parameters that decay alike and learn at the same rate in every epoch; each is in exactly one.

    Keys: `name`, `params`, `names` of these, `weight_decay`, and `lr_scale`, the factor of the learning rate in the
    first of the `epochs`, as `lr_scale(name, epoch)` says (None: 1 always). Frozen ones are listed too: they may thaw.

    Weights of linear, convolutional, recurrent and attention layers decay. Embeddings (of words, positions, segments,
    relative distances), biases, norms and factors do not; `decay_embeddings`: those of words do.
    """
    embeddings = {
        id(p) for m in model.modules() if isinstance(m, (nn.Embedding, nn.EmbeddingBag)) for p in m.parameters()
    }
    found: dict[tuple[bool, tuple[float, ...]], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        decays = parameter.ndim > 1 and id(parameter) not in embeddings and not _is_factor(name)
        if name.startswith(WORD_ROWS):
            decays = decay_embeddings
        scales = tuple(lr_scale(name, epoch) for epoch in range(epochs)) if lr_scale else (1.0,) * epochs
        decay = weight_decay if decays else 0.0
        new = {"name": "", "params": [], "names": [], "weight_decay": decay, "lr_scale": scales[0]}
        group = found.setdefault((decays, scales), new)
        group["params"].append(parameter)
        group["names"].append(name)
    _name(found)
    return sorted(found.values(), key=lambda group: group["name"].startswith("no_decay"))


def _is_factor(name: str) -> bool:
    """Whether a parameter multiplies activations and is at rest at 1, not at 0: those of (IA)^3."""
    return any(part.startswith("ia3_") for part in name.split("."))


def _name(groups: dict[tuple[bool, tuple[float, ...]], dict[str, Any]]) -> None:
    """`decay` and `no_decay`; where learning rates differ too, with the part of the model that a group begins in."""
    several = len({scales for _, scales in groups}) > 1
    taken: set[str] = set()
    for (decays, _), group in groups.items():
        name = plain = ("decay" if decays else "no_decay") + (f" {_part(group['names'])}" if several else "")
        while name in taken:
            name = f"{plain} {sum(other.startswith(plain) for other in taken) + 1}"
        taken.add(name)
        group["name"] = name


def _part(names: list[str]) -> str:
    """What the names begin with alike, else the first name's own part: `encoder.backbone.layer.3`, `embedding`."""
    split = [name.split(".")[:-1] for name in names]
    alike = []
    for parts in zip(*split):
        if len(set(parts)) > 1:
            break
        alike.append(parts[0])
    return ".".join(alike) or names[0].partition(".")[0]
