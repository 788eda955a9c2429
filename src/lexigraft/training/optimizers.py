"""Optimizers that torch does not have, from `pytorch_optimizer`, which is imported only when one is chosen."""

from collections.abc import Iterable
from types import ModuleType
from typing import Any

from torch.optim import Optimizer

Groups = Iterable[Any]


def lion(
    params: Groups, lr: float = 1e-4, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0
) -> Optimizer:
    """Lion over parameters or groups of them, weight decay apart from the gradient (Chen et al. 2023).

    `ValueError` without the extra `optimizers`, and for settings out of range; so does `lamb`.
    """
    _require_not_negative(lr=lr, weight_decay=weight_decay)
    return _package().Lion(params, lr=lr, betas=betas, weight_decay=weight_decay)


def lamb(
    params: Groups,
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-6,
    weight_decay: float = 0.0,
) -> Optimizer:
    """LAMB over parameters or groups of them (You et al. 2020): w -= lr * min(|w|, 10) * u / |u|, u = Adam + decay * w.

    Adam's moments are not corrected for their start at zero, which the division by |u| makes nearly needless.
    """
    _require_not_negative(lr=lr, weight_decay=weight_decay)
    # adam_debias: the package would divide lr by 1 - betas[0] ** step, which is ten times lr in the first step.
    return _package().Lamb(
        params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, weight_decouple=False, adam_debias=True
    )


def unscaled_by_trainer(optimizer: Optimizer) -> Optimizer:
    """The optimizer, marked so that Lightning undoes the scaling of fp16 gradients itself and may clip them.

    A fused optimizer offers to do that in its own step, and Lightning then refuses to clip under any mixed precision.
    """
    if getattr(optimizer, "_step_supports_amp_scaling", False):
        optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]
    return optimizer


def _package() -> ModuleType:
    try:
        import pytorch_optimizer
    except ModuleNotFoundError as error:
        raise ValueError("it needs the optimizers extra: pip install 'lexigraft[optimizers]'") from error
    return pytorch_optimizer


def _require_not_negative(**settings: float) -> None:
    """The package has errors of its own for these, which are no `ValueError`."""
    for name, value in settings.items():
        if value < 0:
            raise ValueError(f"{name}={value} should be 0 or more")
