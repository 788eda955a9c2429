"""What several ranks know, brought together."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics import metric

from lexigraft.process_group import connected
from lexigraft.tasks.inference import Seen
from lexigraft.tasks.task import Task

T = TypeVar("T")


class SeenByAll(Seen):
    """Scores and labels that all ranks have seen, each text once, in the order of "index"; alone, what this one has.

    `in_order` is to be called by all ranks, as often on each.
    """

    def in_order(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """See `Seen`; equal on all ranks."""
        if connected() > 1:
            assert self._index, "every rank has evaluated something"
            parts: list[Any] = [None] * connected()
            # Few tensors, whose sending costs less than that of many.
            sizes = [len(labels) for labels in self._labels]
            dist.all_gather_object(parts, (self._index, torch.cat(self._scores), torch.cat(self._labels), sizes))
            self._keep_once(parts)
        return super().in_order()

    def _keep_once(self, parts: list[Any]) -> None:
        """Take over what all ranks have, each text once."""
        index = np.concatenate([of_rank[0] for of_rank in parts])
        self._index, first = (found.tolist() for found in np.unique(index, return_index=True))
        scores, labels = (torch.cat([of_rank[i] for of_rank in parts]) for i in (1, 2))
        if self._per_token:
            sizes = [size for of_rank in parts for size in of_rank[3]]
            of_texts = scores.split(sizes), labels.split(sizes)
            self._scores, self._labels = ([of_text[i] for i in first] for of_text in of_texts)
        else:
            self._scores, self._labels = [scores[first]], [labels[first]]


def measured(task: Task, seen: Seen) -> dict[str, Any]:
    """The metrics of a task over all that was seen, computed by rank 0 and equal on every rank to the last bit."""
    whole = seen.in_order()
    with _whole_metrics():
        return from_first(lambda: task.evaluate(*whole))


@contextmanager
def _whole_metrics() -> Iterator[None]:
    """Metrics of torchmetrics that are made within do not ask other ranks for theirs: they have seen everything."""
    before = metric.jit_distributed_available
    metric.jit_distributed_available = lambda: False
    try:
        yield
    finally:
        metric.jit_distributed_available = before


def from_first(make: Callable[[], T]) -> T:
    """What `make` returns on rank 0, which alone calls it."""
    if connected() == 1:
        return make()
    found: list[Any] = [make() if dist.get_rank() == 0 else None]
    dist.broadcast_object_list(found)
    said: T = found[0]
    return said


def mean_over_ranks(values: Tensor) -> Tensor:
    """The mean of each of the values over the ranks, such as of losses of shares; equal on all of them."""
    if connected() == 1:
        return values
    total = values.detach().clone()
    dist.all_reduce(total)
    return total / connected()
