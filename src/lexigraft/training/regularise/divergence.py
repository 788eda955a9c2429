"""How far two predictions of the same texts lie apart."""

from torch import Tensor

from lexigraft.data.batches import NOT_COUNTED
from lexigraft.tasks.task import Task


def divergence(task: Task, first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
    """The mean over texts (per token: over counted tokens) of a symmetric divergence of two outputs of a head.

    For probabilities of one class, (KL(p, q) + KL(q, p)) / 2 in nats; for several classes at once, the sum of that
    over the classes, each present or not; for numbers, (a - b)^2 / 2, which is KL between normals of variance 1.
    """
    if task.kind == "number":
        return ((first.float() - second.float()) ** 2).flatten().mean() / 2
    p, q = task.scores(first), task.scores(second)
    if task.per_token:
        counted = labels != NOT_COUNTED
        p, q = p[counted], q[counted]
    apart = _symmetric(p, q)
    if task.kind == "several":
        apart = apart + _symmetric(1 - p, 1 - q)
    return apart.sum() / max(1, len(p))


def _symmetric(p: Tensor, q: Tensor) -> Tensor:
    """Each probability's share of the mean of both KL: (p - q) (log p - log q) / 2."""
    smallest = 1e-7  # below it float32 probabilities say no more than that they are small
    return (p - q) * (p.clamp(min=smallest).log() - q.clamp(min=smallest).log()) / 2
