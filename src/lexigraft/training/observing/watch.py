"""Speed, padding, memory and time left of a training, always measured; what is slow is told with its remedy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.profilers import Profiler
from rich.console import Console
from torch import Tensor

from lexigraft.evaluation.tables import warning_text
from lexigraft.models.classifier import Classifier
from lexigraft.training.observing.communication import communication
from lexigraft.training.observing.flops import Flops, peak_flops, training_flops
from lexigraft.training.observing.peak import peak_memory
from lexigraft.training.observing.phases import WARM_UP, Phases, gpu_steps
from lexigraft.training.observing.telling import remedies

_ENOUGH = 20  # batches, from which on what is slow is told
_MASKS = 64  # batches on a GPU whose tokens are counted at once


class Watch(Callback):
    """Measures a training; its `phases` are the `profiler` of Lightning's trainer, and hear it for `profiler` too.

    `workers` and `batch_tokens` are those of the loaders, for what is told. It draws nothing, changes nothing and
    does not wait for a GPU but at the end of an epoch. What it knows is that of this process, since it was started:
    a resumed run begins anew.
    """

    _flops: Flops | None  # of the weights as this epoch trains them

    def __init__(
        self,
        console: Console,
        *,
        workers: int = 0,
        batch_tokens: int | None = None,
        profiler: Profiler | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.phases = Phases(profiler) if clock is None else Phases(profiler, clock=clock)
        self._console, self._workers, self._batch_tokens = console, workers, batch_tokens
        self._told: set[str] = set()
        self._trainer: pl.Trainer | None = None
        self._batches = 0
        self._clear()

    def summary(self) -> dict[str, Any]:
        """What was measured so far, in plain values.

        "seconds": {"total", "warm_up" (the first 3 batches and what came before), and of what came after "data"
        (waiting for batches), "transfer" (to the device), "forward", "backward", "communication" (what gradients of
        several processes took and backward did not hide; 0 for one, None where it is not known and part of backward),
        "optimizer" (clearing, clipping, update), "validation", "checkpoint", "rest"}; "measured_by": "clock", or
        "events" where phases are those of a GPU, of one batch in 16; "batches"; "step_ms": of a batch, validation and
        checkpoints left out, as from all rates; "samples_per_second", "tokens_per_second" (without padding), of all
        processes; "padding": its share; "mfu": the share of the GPU's most operations that the model needed;
        "gpu_busy" and "gpu_busy_by": see `GpuSteps.busy`; "peak_memory_bytes". None: not known, or not enough batches.
        """
        self.phases.read()
        seconds: dict[str, float | None] = {"total": self.phases.warm_up + sum(self.phases.seconds.values())}
        seconds |= {"warm_up": self.phases.warm_up, **self._phases()}
        beside = self.phases.seconds["validation"] + self.phases.seconds["checkpoint"]
        train = sum(self.phases.seconds.values()) - beside
        batches = max(0, self._batches - WARM_UP)
        world = 1 if self._trainer is None else self._trainer.world_size
        tokens = self._tokens()
        busy = None if self.phases.gpu is None else self.phases.gpu.busy()
        known = batches > 0 and train > 0
        return {
            "seconds": {name: None if of is None else round(of, 4) for name, of in seconds.items()},
            "measured_by": "clock" if self._sampled() is None else "events",
            "batches": batches,
            "step_ms": round(1e3 * train / batches, 4) if known else None,
            "samples_per_second": round(world * self._texts / train, 2) if known else None,
            "tokens_per_second": round(world * tokens / train, 2) if known and self._cells else None,
            "padding": round(1 - tokens / self._cells, 4) if known and self._cells else None,
            "mfu": self._mfu(tokens, train) if known else None,
            "gpu_busy": None if busy is None else round(busy[0], 4),
            "gpu_busy_by": None if busy is None else busy[1],
            "peak_memory_bytes": None if self._trainer is None else peak_memory(self._trainer.strategy.root_device),
        }

    def remaining(self) -> float | None:
        """Seconds that training still takes if it goes on like this to its last epoch; None while that is unknown."""
        trainer = self._trainer
        if trainer is None or self._batches < WARM_UP or not trainer.max_epochs or trainer.max_epochs < 0:
            return None
        epochs = trainer.max_epochs - trainer.current_epoch
        left = epochs * float(trainer.num_training_batches) - trainer.fit_loop.batch_idx - 1
        counted = max(1, self._batches - WARM_UP)
        each = self.phases.elapsed() / counted if self._batches > WARM_UP else self.phases.warm_up / WARM_UP
        return max(0.0, left) * each

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        device = trainer.strategy.root_device
        self._trainer, self.phases.gpu = trainer, gpu_steps(device)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.phases.begin()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._flops = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._batches += 1
        self._count(pl_module, batch)
        if self._batches == WARM_UP:
            self.phases.warmed_up()
            self._clear()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.phases.enter("validation")
        if self.phases.gpu is not None:
            self.phases.gpu.paused()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.phases.leave()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.phases.gpu is not None:
            self.phases.gpu.paused()
        if self._batches < _ENOUGH + WARM_UP or not trainer.is_global_zero:
            return
        for kind, sentence in remedies(self.summary(), workers=self._workers, batch_tokens=self._batch_tokens):
            if kind not in self._told:
                self._told.add(kind)
                self._console.print(warning_text(sentence))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.phases.gpu is not None:
            self.phases.gpu.finish()
        self.phases.end()

    def _clear(self) -> None:
        self._texts = self._cells = 0
        self._here = 0  # tokens that were counted in memory
        self._there: Tensor | None = None  # those that a GPU counted
        self._masks: list[Tensor] = []
        self._flops = None
        self._of_flops: dict[Flops, list[int]] = {}

    def _count(self, module: pl.LightningModule, batch: Any) -> None:
        if not isinstance(batch, dict) or not isinstance(mask := batch.get("mask"), Tensor):
            return
        texts, longest = mask.shape
        self._texts += texts
        self._cells += texts * longest
        if mask.device.type == "cpu":
            self._here += int(np.count_nonzero(mask.numpy()))  # a hundredth of what a sum by torch takes
            return
        self._masks.append(mask)
        if self._flops is None:
            model = getattr(module, "model", None)
            self._flops = training_flops(model) if isinstance(model, Classifier) else Flops(0, 0, 0)
        counted = self._of_flops.setdefault(self._flops, [0, 0, 0])
        counted[0] += texts
        counted[1] += texts * longest
        counted[2] += texts * longest * longest
        if len(self._masks) >= _MASKS:
            self._count_masks()

    def _count_masks(self) -> None:
        if self._masks:
            count = torch.cat([mask.reshape(-1) for mask in self._masks]).sum()
            self._there = count if self._there is None else self._there + count
            self._masks.clear()

    def _tokens(self) -> int:
        self._count_masks()
        return self._here + (0 if self._there is None else int(self._there))

    def _sampled(self) -> int | None:
        gpu = self.phases.gpu
        return None if gpu is None or not gpu.sampled else gpu.sampled

    def _phases(self) -> dict[str, float | None]:
        """The seconds of each phase since warming up: on a GPU those of the samples, so many times over."""
        found = dict(self.phases.seconds)
        sampled, gpu = self._sampled(), self.phases.gpu
        if sampled is not None and gpu is not None:
            batches = max(0, self._batches - WARM_UP)
            whole = sum(found[name] for name in ("data", "forward", "backward", "optimizer", "rest"))
            for name in ("data", "forward", "backward", "optimizer"):
                found[name] = gpu.milliseconds[name] / 1e3 / sampled * batches
            found["rest"] = max(0.0, whole - sum(found[n] for n in ("data", "forward", "backward", "optimizer")))
        steps = 0 if self._trainer is None else (self._batches - WARM_UP) / self._trainer.accumulate_grad_batches
        each = None if self._trainer is None else communication(self._trainer)
        taken = None if each is None else min(each * max(0.0, steps), found["backward"])
        found["backward"] -= taken or 0.0
        return {**found, "communication": taken}

    def _mfu(self, tokens: int, seconds: float) -> float | None:
        """Texts of a batch are taken to be filled alike, which makes their squared lengths a little too short."""
        assert self._trainer is not None
        device = self._trainer.strategy.root_device
        if device.type != "cuda" or not self._cells:
            return None
        peak = peak_flops(torch.cuda.get_device_name(device), str(self._trainer.precision))
        filled = tokens / self._cells
        done = sum(
            flops.of(texts, cells * filled, squares * filled**2)
            for flops, (texts, cells, squares) in self._of_flops.items()
        )
        return None if peak is None or not done else round(done / seconds / peak, 4)
