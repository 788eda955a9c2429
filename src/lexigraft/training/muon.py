"""Muon for hidden matrices and AdamW for all other weights, as one optimizer."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor
from torch.optim import AdamW, Muon, Optimizer

log = logging.getLogger(__name__)

# Names of tables inside a pretrained body that are looked up, not multiplied with: GPT-2's wpe, T5's distances.
TABLES = ("embed", "wpe", "wte", "position", "relative_attention_bias")


def is_hidden_matrix(name: str, parameter: Tensor) -> bool:
    """Whether Muon trains the parameter of a `Classifier`: a matrix of the encoder that is no table of vectors.

    The stacked gates of a recurrent layer and the stacked projections of an attention layer count as one matrix each.
    """
    inside = name.startswith("encoder.") and not any(word in name for word in TABLES)
    return parameter.ndim == 2 and inside


class MuonWithAdamW(Optimizer):
    """Updates of the encoder's matrices made orthogonal (Jordan 2024), and AdamW for everything else.

    `params` are groups with `names` beside `params`, as `parameter_groups` makes them; a group's `lr` is one of Muon,
    and is scaled by `adamw_lr / lr` for AdamW. `optimizers` are the members, which share groups and state with this
    one: schedules, clipping and checkpoints see one optimizer. `ValueError` for settings out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        adamw_lr: float = 1e-3,
        weight_decay: float = 0.01,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = "match_rms_adamw",
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        if lr <= 0:
            raise ValueError(f"lr={lr} should be above 0")
        groups = [dict(each) if isinstance(each, Mapping) else {"params": [each]} for each in params]
        hidden = [part for group in groups if (part := _part(group, hidden=True))]
        others = [part for group in groups if (part := _part(group, hidden=False))]
        for group in others:
            group["lr"] = group.get("lr", lr) * adamw_lr / lr
        if not hidden and any("names" in group for group in groups):
            log.warning("optimizer=muon: the encoder has no matrices for Muon, so AdamW trains every weight")
        self.optimizers: list[Optimizer] = []
        if hidden:
            muon = Muon(hidden, lr, weight_decay, momentum, nesterov, ns_steps=ns_steps, adjust_lr_fn=adjust_lr_fn)
            self.optimizers.append(muon)
        if others:
            self.optimizers.append(AdamW(others, adamw_lr, betas, eps, weight_decay, fused=True))
        self._sizes = [len(member.param_groups) for member in self.optimizers]
        super().__init__([group for member in self.optimizers for group in member.param_groups], {"lr": lr})
        self._share()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of each member; the closure, if there is one, is called once, before them."""
        loss = None if closure is None else closure()
        for member in self.optimizers:
            member.step()
        return loss

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over groups and state, as `load_state_dict` asks for it."""
        super().__setstate__(state)
        self._share()

    def _share(self) -> None:
        """Give the members this optimizer's own groups, in order, and its state."""
        start = 0
        for member, size in zip(self.optimizers, self._sizes):
            member.param_groups = self.param_groups[start : start + size]
            member.state = self.state
            start += size


def _part(group: dict[str, Any], hidden: bool) -> dict[str, Any] | None:
    """The hidden matrices of a group, or the other parameters; None where it has none."""
    parameters = list(group["params"])
    names = group.get("names", [""] * len(parameters))
    tables = str(group.get("name", "")).startswith("no_decay")  # where `parameter_groups` puts every table of vectors
    kept = [i for i, name in enumerate(names) if (not tables and is_hidden_matrix(name, parameters[i])) == hidden]
    if not kept:
        return None
    part = {**group, "params": [parameters[i] for i in kept]}
    if "names" in group:
        part["names"] = [names[i] for i in kept]
    if "name" in group:
        part["name"] = f"{group['name']} {'muon' if hidden else 'adamw'}"
    return part
