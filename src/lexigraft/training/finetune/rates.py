"""Learning rates by a strategy: the optimizer's groups, and their factors as epochs go by."""

from collections.abc import Iterator, Sequence
from typing import Any

from torch.optim import Optimizer

from lexigraft.models.classifier import Classifier
from lexigraft.models.parameters import parameter_groups
from lexigraft.training.strategy import Strategy

# What a group, and a schedule beside it, keeps of learning rates.
_OF_GROUPS = ("lr", "initial_lr", "max_lr", "min_lr")
_OF_SCHEDULES = ("base_lrs", "max_lrs")


def optimizer_groups(
    model: Classifier, strategy: Strategy, weight_decay: float, *, epochs: int, decay_embeddings: bool = False
) -> list[dict[str, Any]]:
    """`parameter_groups` with the factors of a strategy over `epochs` epochs.

    `ValueError` if the strategy holds some word rows and these would decay.
    """
    if decay_embeddings and getattr(strategy, "holds_rows", False):
        raise ValueError(
            "trainer.decay_embeddings=true would shrink the rows that finetune=transfer holds: leave it false"
        )
    return parameter_groups(
        model,
        weight_decay,
        lambda name, epoch: strategy.lr_scale(model, name, epoch),
        epochs=epochs,
        decay_embeddings=decay_embeddings,
    )


def scale_rates(optimizer: Optimizer) -> Optimizer:
    """The optimizer with each group's learning rate times its `lr_scale`; once, before a schedule is made for it."""
    for group in optimizer.param_groups:
        _multiply(group, group.get("lr_scale", 1.0))
    return optimizer


def rescale(optimizer: Optimizer, schedulers: Sequence[Any], strategy: Strategy, model: Classifier, epoch: int) -> None:
    """Give each group the factor of this epoch; for the epoch's start.

    What schedules remember of a group's learning rate goes with it, so that they go on from there, whether they compute
    a rate from the step or from the last rate. The factor stands in the group, which a checkpoint keeps.
    """
    for i, group in enumerate(optimizer.param_groups):
        new, old = strategy.lr_scale(model, group["names"][0], epoch), group["lr_scale"]
        if new == old:
            continue
        _multiply(group, new / old)
        group["lr_scale"] = new
        for scheduler in _each(schedulers):
            for remembered in _OF_SCHEDULES:
                if len(getattr(scheduler, remembered, ())) > i:
                    getattr(scheduler, remembered)[i] *= new / old
            if len(getattr(scheduler, "_last_lr", ())) > i:  # a list that nested schedules share
                scheduler._last_lr[i] = group["lr"]


def _multiply(group: dict[str, Any], factor: float) -> None:
    for key in _OF_GROUPS:
        if group.get(key) is not None:
            group[key] *= factor


def _each(schedulers: Sequence[Any]) -> Iterator[Any]:
    """Schedules, and those that they are made of."""
    for scheduler in schedulers:
        yield scheduler
        yield from _each(getattr(scheduler, "_schedulers", ()))
