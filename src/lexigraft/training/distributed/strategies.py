"""How the ranks of a run share its work: each has a copy of the model (DDP), or a piece of every weight (FSDP)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from pytorch_lightning.plugins.environments import ClusterEnvironment
from pytorch_lightning.strategies import DDPStrategy, Strategy
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from lexigraft.models.active import ActiveRows
from lexigraft.process_group import Place, place


def strategy_of(
    accelerator: str,
    devices: int,
    nodes: int = 1,
    *,
    name: str = "ddp",
    heads: int = 1,
    in_parts: bool = False,
    cpu_offload: bool = False,
) -> Strategy | str:
    """What a trainer takes as `strategy`: "ddp" or "fsdp" in a group of processes, "auto" for one on its own.

    With several `heads` each batch leaves those of other tasks without gradient. `in_parts`: batches are trained in
    micro-batches. `cpu_offload` is for FSDP on GPUs. `ValueError` for a group of another size than the config says.
    """
    here, ranks = place(), devices * nodes
    if (1 if here is None else here.ranks) != ranks:
        found = "this process is on its own" if here is None else f"this one is of {here.ranks}"
        raise ValueError(
            f"hardware.devices={devices} and hardware.nodes={nodes} make a run of {ranks} processes, but {found}: "
            "start as many as they say, or correct them"
        )
    if here is None:
        return "auto"
    gpus = accelerator == "gpu" or (accelerator == "auto" and torch.cuda.is_available())
    backend = "nccl" if gpus else "gloo"
    if name == "fsdp":
        from lexigraft.training.distributed.sharded import Sharded  # with what torch imports for it

        return Sharded(Ranks(here), ranks, backend, cpu_offload and gpus)
    changing = in_parts or heads > 1
    return DataParallel(changing=changing, cluster_environment=Ranks(here), process_group_backend=backend)


class Ranks(ClusterEnvironment):
    """A group of processes that somebody else has started: Lightning starts none, and takes every number from here."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place

    creates_processes_externally = True

    @property
    def main_address(self) -> str:
        return self.place.address

    @property
    def main_port(self) -> int:
        return self.place.port

    @staticmethod
    def detect() -> bool:
        return place() is not None

    def world_size(self) -> int:
        return self.place.ranks

    def global_rank(self) -> int:
        return self.place.rank

    def local_rank(self) -> int:
        return self.place.local_rank

    def node_rank(self) -> int:
        return self.place.node

    def set_world_size(self, size: int) -> None:
        """Nothing: it is known."""

    def set_global_rank(self, rank: int) -> None:
        """Nothing: it is known."""


class DataParallel(DDPStrategy):
    """DDP over the weights that move, made anew when a fine-tuning phase freezes some or lets others go.

    A reducer knows only the weights that moved when it was made: of later ones each rank would keep its own gradient,
    and for frozen ones it would wait. With one head the same weights have gradients at every step of a phase, those
    that never have any are found at its first (`static_graph`). With several, and in micro-batches, whose backward
    passes a static graph would all wait for, it is `changing`: searched at every step.
    Weights without gradient on all ranks keep none, so no optimizer moves them. Buffers are sent only where they are
    statistics of batches.
    """

    def __init__(self, changing: bool = False, **settings: Any) -> None:
        super().__init__(
            find_unused_parameters=changing,
            static_graph=not changing,
            gradient_as_bucket_view=True,
            **settings,
        )
        self._moving: list[bool] = []
        self._fresh = True

    def _setup_model(self, model: nn.Module) -> DistributedDataParallel:
        self._parameters = list(model.parameters())
        self._active = [each for each in model.modules() if isinstance(each, ActiveRows)]
        self._moving, self._fresh = self._which_move(), True
        self._ddp_kwargs["broadcast_buffers"] = any(isinstance(each, _BatchNorm) for each in model.modules())
        return super()._setup_model(model)

    def training_step(self, *arguments: Any, **options: Any) -> Any:
        if self._which_move() != self._moving:
            for parameter in self._parameters:
                parameter.grad = None  # a view of the old reducer's memory; it is zeroed before a backward anyway
            assert self.lightning_module is not None
            self.model = self._setup_model(self.lightning_module)
            self._register_ddp_hooks()
        self._fresh = False
        return super().training_step(*arguments, **options)

    def renew(self) -> None:
        """Let DDP be made anew at the next step, as gradients were computed that are none of training."""
        self._moving = []

    @contextmanager
    def block_backward_sync(self) -> Iterator[None]:
        """Let gradients add up on each rank alone, but for the first ones, by which DDP learns which there are.

        They are reduced twice then, which leaves their mean as it is.
        """
        if self._fresh:
            yield
            return
        with super().block_backward_sync():
            yield

    def _which_move(self) -> list[bool]:
        for rows in self._active:
            rows.witness.requires_grad_(rows.weight.requires_grad)  # as its forward does, which would be too late
        return [parameter.requires_grad for parameter in self._parameters]
