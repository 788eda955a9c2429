"""FSDP for Lightning's trainer: each rank holds, steps and saves its piece of every weight."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.optimizer import _optimizers_to_device
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.plugins.environments import ClusterEnvironment
from pytorch_lightning.strategies import ModelParallelStrategy
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from lexigraft.models.active import ActiveRows
from lexigraft.training.checkpoint_files import CheckpointFiles
from lexigraft.training.distributed.sharding import (
    as_of_first,
    filled,
    hollow,
    like,
    piece_of,
    rows_of,
    shard,
    weights_of,
)
from lexigraft.training.pieces import Pieces, rows, taken_apart, write_pieces

METHODS = ("embed", "features", "outputs")  # of a `Classifier`, which a training step calls one by one


class Sharded(ModelParallelStrategy):
    """Cuts the weights of a `TrainingModule` among `ranks` processes when training begins, on GPUs and on CPUs.

    `cpu_offload` keeps the pieces in the machine's memory and brings them to the GPU when they are computed with. A
    checkpoint goes to the `CheckpointFiles` among the trainer's plugins: each rank writes its piece of weights and
    optimizer, the first one all else. It loads on any number of ranks, and so does one of a single process.
    """

    def __init__(self, environment: ClusterEnvironment, ranks: int, backend: str, cpu_offload: bool = False) -> None:
        if cpu_offload:  # clipping sums over pieces that lie in the CPU's memory
            backend = "cpu:gloo,cuda:nccl"
        super().__init__(data_parallel_size=ranks, tensor_parallel_size=1, process_group_backend=backend)
        self.cluster_environment = environment
        self._cpu_offload = cpu_offload
        self._hollow: dict[str, nn.Module] = {}

    @property
    def lightning_restore_optimizer(self) -> bool:
        return True

    def setup(self, trainer: pl.Trainer) -> None:
        assert self.model is not None
        assert self.accelerator is not None
        self.accelerator.setup(trainer)
        self.model = self.precision_plugin.convert_module(self.model)
        self.model_to_device()
        as_of_first(self.model)
        mesh = self.device_mesh["data_parallel"]
        for name, part in _portions(self.model).items():
            self._hollow[name] = hollow(part)
            shard(part, mesh, methods=METHODS if name == "model" else (), cpu_offload=self._cpu_offload)
        self.barrier()
        if trainer.state.fn == TrainerFn.FITTING:
            self.setup_optimizers(trainer)
        self.setup_precision_plugin()
        if trainer.state.fn == TrainerFn.FITTING and not self._cpu_offload:
            _optimizers_to_device(self.optimizers, self.root_device)

    def setup_optimizers(self, trainer: pl.Trainer) -> None:
        super().setup_optimizers(trainer)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                if group.get("fused") and not isinstance(optimizer, torch.optim.Adam):  # AdamW is one
                    group["fused"] = False  # the kernels of others do not know pieces

    def validation_step(self, *arguments: Any, **options: Any) -> Any:
        said = super().validation_step(*arguments, **options)
        self._cut_again()
        return said

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """The rank's rows of each weight."""
        return {name: tensor.to_local() if isinstance(tensor, DTensor) else tensor for name, tensor in self._weights()}

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The state dict, with a `Piece` for each tensor that is cut."""
        plain = optimizer._optimizer if isinstance(optimizer, LightningOptimizer) else optimizer
        saved = plain.state_dict()
        state = {of: {name: piece_of(value) for name, value in each.items()} for of, each in saved["state"].items()}
        return {**saved, "state": state}

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        weights = {name: piece_of(tensor) for name, tensor in self._weights()}
        rest, pieces = taken_apart({"state_dict": weights, "optimizer_states": checkpoint["optimizer_states"]})
        folder = self.broadcast(self._files.new_pieces() if self.is_global_zero else "")
        write_pieces(pieces, self._files.piece(folder, self.global_rank))
        self.barrier()  # the first rank's file says that those of all are there
        checkpoint.update(rest, pieces={"folder": folder, "ranks": self.world_size})
        super(ModelParallelStrategy, self).save_checkpoint(checkpoint, filepath)

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """A checkpoint whose tensors are not read before a rank asks for its rows of them."""
        checkpoint, self._pieces = self._files.opened(checkpoint_path)
        return checkpoint

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        saved = dict(checkpoint["state_dict"])
        assert self.model is not None
        for prefix, part in self.model.named_modules():
            if isinstance(part, ActiveRows) and f"{prefix}.witness" not in saved:  # of a run that was not sharded
                kept = part._kept
                saved[f"{prefix}.weight"], saved[f"{prefix}.witness"] = part.parameters_of(saved[f"{prefix}.weight"])
                if part._kept is not kept:  # which no checkpoint of pieces would hold
                    raise ValueError(
                        "the checkpoint holds rows that nothing trained and that are not those of the transplant, "
                        "with which a run in pieces cannot go on: use hardware.strategy=ddp, or rerun=true"
                    )
        for name, tensor in self._weights():
            _take(tensor, saved[name], self._pieces)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        for optimizer, saved in zip(self.optimizers, checkpoint["optimizer_states"]):
            weights = [weight for group in optimizer.param_groups for weight in group["params"]]
            state = {
                of: {name: self._own(weights[of], value) for name, value in each.items()}
                for of, each in saved["state"].items()
            }
            optimizer.load_state_dict({**saved, "state": state})

    def put_back(self, module: pl.LightningModule) -> None:
        """Give the module whole weights again, of any values, in the place of the rank's pieces."""
        for name, part in self._hollow.items():
            parent, _, own = name.rpartition(".")
            setattr(module.get_submodule(parent), own, filled(part))

    @property
    def _files(self) -> CheckpointFiles:
        files = self.checkpoint_io
        assert isinstance(files, CheckpointFiles)
        return files

    def _weights(self) -> list[tuple[str, Tensor]]:
        assert self.model is not None
        self._cut_again()
        return list(weights_of(self.model))

    def _cut_again(self) -> None:
        """Let go of what was brought together and stays so after a pass without gradients."""
        assert self.model is not None
        for part in self.model.modules():
            if isinstance(part, FSDPModule):
                part.reshard()

    def _own(self, weight: Any, value: Any) -> Any:
        """What belongs to this rank of a value in the state of a weight."""
        whole = tuple(value["shape"]) if isinstance(value, dict) else tuple(getattr(value, "shape", ()))
        if not isinstance(weight, DTensor) or whole != tuple(weight.shape):
            return value
        return like(weight, rows(value, self._pieces, *rows_of(weight)))


def _portions(module: nn.Module) -> dict[str, nn.Module]:
    """The model, and each part of a regulariser that has weights of its own, by name."""
    own = {
        name: part
        for name, part in module.named_modules()
        if name.startswith("regularisers.") and any(True for _ in part.parameters(recurse=False))
    }
    return {"model": module.get_submodule("model"), **own}


def _take(tensor: Tensor, saved: Any, pieces: Pieces) -> None:
    """Take over the rank's rows of what was saved."""
    if isinstance(tensor, DTensor):
        tensor.to_local().copy_(rows(saved, pieces, *rows_of(tensor)))
    else:
        tensor.copy_(saved)
