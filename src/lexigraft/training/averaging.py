"""Averages of the weights along training: what is measured, kept as best and used later, while the weights go on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:  # Lightning takes seconds to import, which checking a config need not wait for
    from lexigraft.training.averaging_callback import Averaging


def none() -> None:
    """The weights themselves."""


def ema(decay: float = 0.999, warmup: bool = True, every: int = 1) -> "Averaging":
    """An exponential moving average: average <- d average + (1 - d) weights, after every so many optimizer steps.

    d = `decay`, with `warmup` min(decay, (1 + n) / (10 + n)) at the n-th update, so that short runs forget where they
    began. `ValueError` unless 0 < decay < 1 and every > 0.
    """
    from lexigraft.training.averaging_callback import Averaging

    if not 0 < decay < 1:
        raise ValueError(f"averaging.decay={decay} was given; a number between 0 and 1 is expected")
    if every < 1:
        raise ValueError(f"averaging.every={every} was given; a number of steps from 1 up is expected")

    @torch.no_grad()
    def towards(average: Sequence[Tensor], weights: Sequence[Tensor], updates: Tensor | int) -> None:
        n = int(updates)
        share = 1 - (min(decay, (1 + n) / (10 + n)) if warmup else decay)
        _move(average, weights, share)

    return Averaging(towards, every=every)


def swa(start: float = 0.5, every: int | None = None) -> "Averaging":
    """Stochastic weight averaging: the plain mean of the weights at the epochs' ends (Izmailov et al. 2018).

    `start` is the share of all epochs before the first average; until then the weights themselves are measured.
    `every`: instead after every so many optimizer steps. The learning rate is the scheduler's: the paper's is constant
    or cyclical. `ValueError` unless 0 <= start < 1 and every > 0.
    """
    from lexigraft.training.averaging_callback import Averaging

    if not 0 <= start < 1:
        raise ValueError(
            f"averaging.start={start} was given; a share of all epochs from 0 up to, not including, 1 is expected"
        )
    if every is not None and every < 1:
        raise ValueError(f"averaging.every={every} was given; a number of steps from 1 up is expected, or null")

    @torch.no_grad()
    def towards(average: Sequence[Tensor], weights: Sequence[Tensor], updates: Tensor | int) -> None:
        _move(average, weights, 1 / (int(updates) + 1))

    return Averaging(towards, start=start, every=every)


def _move(average: Sequence[Tensor], weights: Sequence[Tensor], share: float) -> None:
    """Move the average by a share of its distance from the weights; counts (buffers of integers) are taken over."""
    if average[0].is_floating_point():
        torch._foreach_lerp_(list(average), list(weights), share)
    else:
        for of_average, of_weights in zip(average, weights):
            of_average.copy_(of_weights)
