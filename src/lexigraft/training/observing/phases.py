"""Which part of training the time goes to: every instant belongs to exactly one phase."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from pytorch_lightning.profilers import Profiler

from lexigraft.training.observing.gpu import GpuSteps

PHASES = ("data", "transfer", "forward", "backward", "optimizer", "validation", "checkpoint", "rest")
WARM_UP = 3  # batches: compiling, tuning and starting workers happen in the first ones


class Phases(Profiler):
    """Sums up the seconds of each of `PHASES`; for the `profiler` of Lightning's trainer.

    It reads the clock where Lightning begins and ends what it does, and never waits for a GPU: on a GPU, forward,
    backward and optimizer are what launching took, and `gpu` samples what the device took. What happens until the
    end of the first `WARM_UP` batches is `warm_up` and in no phase. `inner` is another profiler, which hears all that
    Lightning says. `seconds` are those until the last change of phase.
    """

    def __init__(
        self, inner: Profiler | None = None, gpu: GpuSteps | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        super().__init__()
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self.warm_up = 0.0
        self.gpu = gpu
        self._inner, self._clock = inner, clock
        self._contexts: dict[str, AbstractContextManager[Any]] = {}
        self._phase, self._outer = "rest", list[str]()
        self._since: float | None = None

    def begin(self) -> None:
        """Training begins: the clock runs from here on."""
        self._since = self._clock()

    def end(self) -> None:
        """Training is over: the clock stands still; what was begun before it is over with it."""
        if self._since is not None:
            self._add()
            self._since = None

    def read(self) -> None:
        """Bring `seconds` up to this moment."""
        self._add()

    def elapsed(self) -> float:
        """Seconds since warming up, until the last change of phase."""
        return sum(self.seconds.values())

    def warmed_up(self) -> None:
        """Count all that there was until now as warming up."""
        self._add()
        self.warm_up = sum(self.seconds.values())
        self.seconds = dict.fromkeys(PHASES, 0.0)

    def enter(self, phase: str) -> None:
        """From here on the time is that of this phase, until `leave`; the phase around it rests meanwhile."""
        self._add()
        self._outer.append(self._phase)
        self._phase = phase

    def leave(self) -> None:
        """The phase around goes on."""
        self._add()
        self._phase = self._outer.pop()

    def profile(self, action_name: str) -> AbstractContextManager[Any]:  # type: ignore[override]
        """What Lightning does is within this context."""
        if self._inner is not None:
            return super().profile(action_name)
        context = self._contexts.get(action_name)
        if context is None:
            # Kept by name: making one each time, as Lightning's own does, takes longer than looking it up.
            phase = _phase_of(action_name)
            context = self._contexts[action_name] = nullcontext() if phase is None else _Timed(self, phase)
        return context

    def start(self, action_name: str) -> None:
        """Lightning begins an action."""
        if self._inner is not None:
            self._inner.start(action_name)
        phase = _phase_of(action_name)
        if phase is not None:
            self.begin_action(phase)

    def stop(self, action_name: str) -> None:
        """Lightning ends an action."""
        phase = _phase_of(action_name)
        if phase is not None:
            self.end_action(phase)
        if self._inner is not None:
            self._inner.stop(action_name)

    def begin_action(self, phase: str) -> None:
        """A timed action begins."""
        if self.gpu is not None and phase == "backward" and self._phase == "forward":
            self.gpu.ended("forward")  # of a part of the batch
        self.enter(self._within(phase))
        if phase == "optimizer" and self.gpu is not None:
            self.gpu.step_begins(self.seconds["data"])

    def end_action(self, phase: str) -> None:
        """A timed action ends."""
        if self.gpu is not None and phase in ("forward", "backward", "optimizer"):
            self.gpu.ended(phase)
            if phase == "optimizer":
                self.gpu.step_ends(self.seconds["data"])
        self.leave()

    def describe(self) -> None:
        """Training ended well: the other profiler may say what it saw."""
        if self._inner is not None:
            self._inner.describe()

    def summary(self) -> str:
        """What the other profiler saw."""
        return "" if self._inner is None else self._inner.summary()

    def setup(self, stage: str, local_rank: int | None = None, log_dir: str | None = None) -> None:
        """Lightning is about to begin."""
        super().setup(stage, local_rank, log_dir)
        if self._inner is not None:
            self._inner.setup(stage, local_rank, log_dir)

    def teardown(self, stage: str | None) -> None:
        """Training ended, well or not."""
        if self._inner is not None:
            self._inner.teardown(stage)
        super().teardown(stage)

    def _within(self, phase: str) -> str:
        """The phase, but for what validating and saving do on their way: that is theirs."""
        if self._phase == "checkpoint" or (self._phase == "validation" and phase != "checkpoint"):
            return self._phase
        return phase

    def _add(self) -> None:
        if self._since is not None:
            now = self._clock()
            self.seconds[self._phase] += now - self._since
            self._since = now


class _Timed:
    """An action that is timed, to be entered as often as it happens."""

    def __init__(self, phases: Phases, phase: str) -> None:
        self._phases, self._phase = phases, phase

    def __enter__(self) -> None:
        self._phases.begin_action(self._phase)

    def __exit__(self, *error: object) -> None:
        self._phases.end_action(self._phase)


def gpu_steps(device: torch.device) -> GpuSteps | None:
    """The sampling of steps on a CUDA device; None elsewhere."""
    return GpuSteps(device) if device.type == "cuda" else None


# What is left of a training batch beside forward and backward is clearing gradients, clipping and the update.
_PHASE_OF = {
    "train_dataloader_next": "data",
    "batch_to_device": "transfer",
    "training_step": "forward",
    "backward": "backward",
    "run_training_batch": "optimizer",
    "save_checkpoint": "checkpoint",
}
_SAVES = ("on_train_epoch_end", "on_train_batch_end", "on_validation_end", "on_train_end")


def _phase_of(action: str) -> str | None:
    """The phase of what Lightning calls an action; None: none of its own."""
    owner, _, name = action.rpartition(".")
    if owner.startswith("[LightningModule]"):
        return None  # training_step and backward are the strategy's, which has them from the module
    if owner.startswith("[Callback]Checkpoints"):
        return "checkpoint" if name in _SAVES else None
    if owner.startswith("[Callback]"):
        return None
    return _PHASE_OF.get(name)
