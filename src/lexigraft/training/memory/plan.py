"""What training will take of a device's memory, reckoned before it begins."""

from dataclasses import dataclass
from math import ceil
from typing import Any

import torch

from lexigraft.data.datamodule import TextDataModule
from lexigraft.training.memory.available import Free
from lexigraft.training.memory.parts import Conditions, Parts, Shape, parts_of
from lexigraft.training.micro_batches import largest_part
from lexigraft.training.module import SupervisedModule

ROOM = 0.9  # of what is free: above it, a plan is called tight
# Tensors of the largest size: that stand beside what a step keeps, and that a pass without gradients has at a time.
_WORKING, _EVALUATING = 2, 4


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes on each device (of a GPU; else of the machine's memory, for each process), and on the machine beside it.

    `weights`, `gradients`, `optimizer` and `averages` stand all the time. On top of them comes the largest of what does
    not stand at the same time: `activations` with the `working` tensors beside them in a step, `update`, what the
    optimizer's step needs, `evaluation`, and, where the device is the machine itself, `checkpoint`. `host` is what the
    machine needs beside the devices, for each process. `shape` is the largest batch of a device: texts, tokens.
    `free` is what can be taken, with `held`, which this process has taken already; None if it is not known. `trained`
    is a number of weights, `resting` the bytes of rows that are not trained.
    """

    weights: int
    gradients: int
    optimizer: int
    averages: int
    activations: int
    working: int
    update: int
    evaluation: int
    checkpoint: int
    host: int
    shape: Shape
    optimizer_name: str
    trained: int
    resting: int
    precision: str
    devices: int
    where: str
    free: int | None
    held: int

    @property
    def total(self) -> int:
        """The most that is taken at one time."""
        passing = max(self.activations + self.working, self.update, self.evaluation, self.checkpoint)
        return self.weights + self.gradients + self.optimizer + self.averages + passing

    def as_dict(self) -> dict[str, Any]:
        """Plain values for `result.json`."""
        parts = ("weights", "gradients", "optimizer", "averages", "activations", "working", "update", "evaluation")
        return {
            "bytes": {name: getattr(self, name) for name in (*parts, "checkpoint", "total")},
            "host_bytes": self.host,
            "free_bytes": self.free,
            "where": self.where,
            "devices": self.devices,
            "batch": list(self.shape),
            "precision": self.precision,
        }


def plan(module: SupervisedModule, batches: TextDataModule, conditions: Conditions, free: Free) -> MemoryPlan:
    """The plan of a run, before its trainer is made: the module is left as it was, and no random number is drawn.

    Weights, gradients and optimizer are exact. Activations are those of torch's kernels on the CPU, measured on few
    tokens, in which each text of a batch is as long as the longest.
    """
    return planned(parts_of(module, batches, conditions), conditions, free)


def planned(parts: Parts, conditions: Conditions, free: Free) -> MemoryPlan:
    """The plan that follows from the facts."""
    size = conditions.weights.itemsize
    share = size / torch.float32.itemsize
    whole, trained = parts.weights * size, parts.trained * size
    weights, gradients, optimizer, gathered = _sharded(whole, trained, parts, conditions)
    averages = whole + parts.buffers if conditions.averaging else 0
    train, evaluated = _shared(parts.train, conditions.ranks), _shared(parts.evaluated, conditions.ranks)
    if conditions.micro_batch is not None:
        train = [(largest_part(texts, conditions.micro_batch), tokens) for texts, tokens in train]
    kept, shape = max((parts.activations.bytes(*each, share), each) for each in train)
    if conditions.activation_checkpointing:
        kept = ceil(kept / max(1, parts.layers)) + parts.layers * shape[0] * shape[1] * parts.width * size
    resting = parts.resting * size
    # Resuming reads a whole checkpoint into the machine's memory, or of a sharded one the rank's piece; at the end the
    # best weights are there as a whole.
    checkpoint = whole + resting + (0 if conditions.strategy == "fsdp" else parts.state + averages)
    aside = ceil((whole + trained + parts.state) / conditions.ranks) if conditions.cpu_offload else 0
    return MemoryPlan(
        weights=weights + parts.buffers + (0 if conditions.on_gpu else resting),
        gradients=gradients,
        optimizer=optimizer,
        averages=averages,
        activations=kept,
        working=_WORKING * parts.activations.largest(*shape, share) + gathered,
        update=0 if parts.fused else _update(parts, conditions, size),
        evaluation=max((_EVALUATING * parts.activations.largest(*each, share) for each in evaluated), default=0),
        checkpoint=0 if conditions.on_gpu else checkpoint,
        host=resting + checkpoint + aside if conditions.on_gpu else 0,
        shape=shape,
        optimizer_name=parts.optimizer,
        trained=parts.trained,
        resting=resting,
        precision=conditions.precision,
        devices=conditions.ranks,
        where=free.where,
        free=None if free.bytes is None else free.bytes + (0 if conditions.on_gpu else parts.held),
        held=0 if conditions.on_gpu else parts.held,
    )


def _sharded(whole: int, trained: int, parts: Parts, conditions: Conditions) -> tuple[int, int, int, int]:
    """Weights, gradients, optimizer and what is brought together for a moment, by what the ranks divide.

    DDP sums gradients in buckets, a copy of their own. FSDP divides everything, and has two layers and their gradients
    together at a time.
    """
    ranks = conditions.ranks
    if conditions.strategy == "fsdp":
        gathered = 4 * parts.layer * conditions.weights.itemsize
        if conditions.cpu_offload:
            return 0, 0, 0, gathered
        return ceil(whole / ranks), ceil(trained / ranks), ceil(parts.state / ranks), gathered
    return whole, trained * (2 if ranks > 1 else 1), parts.state, 0


def _update(parts: Parts, conditions: Conditions, size: int) -> int:
    """What an optimizer without fused kernels makes in a step: on a GPU of all weights together, else of one."""
    made = size * (parts.trained if conditions.on_gpu else 2 * parts.largest)
    return ceil(made / conditions.ranks) if conditions.strategy == "fsdp" else made


def _shared(shapes: tuple[Shape, ...], ranks: int) -> list[Shape]:
    return [(ceil(texts / ranks), tokens) for texts, tokens in shapes]
