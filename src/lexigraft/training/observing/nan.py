"""A stop at the first loss that is not finite, with the batch kept that it came from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from lexigraft.training.random_state import random_state

_EVERY = 32  # batches between two looks at losses that are on a GPU: a look waits for it


class StopAtNaN(Callback):
    """Ends training with a sentence at the first loss that is not finite, and keeps its batch in `folder`.

    It looks at the losses of all batches since the last look after every `every` batches (None: each one on the CPU,
    32 on a GPU, which each look waits for), before validation and before a checkpoint is written: no checkpoint holds
    weights that were made from such a loss. `ValueError` names the very step, what to try, and the file.
    """

    def __init__(self, folder: Path | None = None, every: int | None = None) -> None:
        self.folder, self.every = folder, every
        self._steps: list[_Seen] = []
        self._random: tuple[Tensor, Tensor | None] | None = None

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        if self.folder is not None:
            device = trainer.strategy.root_device
            gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
            self._random = torch.get_rng_state(), gpu

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"]
        every = self.every or (1 if loss.device.type == "cpu" else _EVERY)
        if every == 1 and math.isfinite(loss.item()):
            return  # without all that `torch.isfinite` does
        self._steps.append(_Seen(loss, batch, trainer.global_step, trainer.current_epoch, self._random))
        if len(self._steps) >= every:
            self._look(trainer)

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._look(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._look(trainer)

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        self._look(trainer)

    def _look(self, trainer: pl.Trainer) -> None:
        steps, self._steps = self._steps, []
        if not steps:
            return
        losses = torch.stack([step.loss.float() for step in steps]).cpu()
        wrong = (~losses.isfinite()).nonzero()
        if not len(wrong):
            return
        first = int(wrong[0])
        step = steps[first]
        sentence = (
            f"the training loss became {float(losses[first])} at step {step.step} "
            f"(epoch {step.epoch}): lower optimizer.lr, set trainer.gradient_clip, or check the "
            "source matrix with a smaller transplant.scale"
        )
        if self.folder is not None:
            name = f"step_{step.step}" + (f"_rank_{trainer.global_rank}" if trainer.world_size > 1 else "")
            random = None if step.random is None else _as_it_was(*step.random, trainer.strategy.root_device)
            file = self.folder / f"{name}.pt"
            save_batch(file, step.batch, step=step.step, epoch=step.epoch, random=random)
            sentence += (
                f"; its batch is kept in {file}: "
                f"python -c \"import torch; print(torch.load('{file}', weights_only=True)['batch'])\""
            )
        raise ValueError(sentence)


@dataclass(frozen=True)
class _Seen:
    """A step whose loss has not been looked at."""

    loss: Tensor
    batch: Any
    step: int
    epoch: int
    random: tuple[Tensor, Tensor | None] | None


def save_batch(
    file: Path,
    batch: Any,
    *,
    step: int,
    epoch: int,
    random: dict[str, Any] | None = None,
    weights: Mapping[str, Tensor] | None = None,
) -> None:
    """Keep a batch for replay: a file that `torch.load` reads with `weights_only=True`.

    It holds "batch" (its tensors on the CPU), "step" and "epoch", and, where they are given, "random" (what
    `set_random_state` takes) and "weights".
    """
    kept: dict[str, Any] = {"batch": _plain(batch), "step": step, "epoch": epoch}
    if random is not None:
        kept["random"] = random
    if weights is not None:
        kept["weights"] = _plain(weights)
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(kept, file)


def _as_it_was(cpu: Tensor, gpu: Tensor | None, device: torch.device) -> dict[str, Any]:
    """The random streams before a step; Python's and NumPy's, from which no step draws, as they stand now."""
    torch.set_rng_state(cpu)
    if gpu is not None:
        torch.cuda.set_rng_state(gpu, device)
    return random_state()


def _plain(value: Any) -> Any:
    """Tensors on the CPU in plain containers; what is neither a tensor nor plain as its text."""
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, Mapping):
        return {str(key): _plain(of) for key, of in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(of) for of in value]
    return value if value is None or type(value) in (bool, int, float, str) else str(value)
