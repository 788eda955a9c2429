"""Where the time of training goes: phases by the clock, operators by PyTorch's profiler."""

import time
from collections import defaultdict
from pathlib import Path

import torch
from pytorch_lightning.profilers import Profiler
from rich.console import Console


class StepProfiler(Profiler):
    """Times `timed` steps after `skip` others, then traces `traced` more; for the `profiler` of Lightning's trainer.

    Leaves `trace.json` (for ui.perfetto.dev or chrome://tracing) and the ten lines of `profile.txt` in `folder`, and
    prints these lines after training. Tracing slows steps down, hence the clock runs on steps of its own. Validation
    is left out; on a GPU each phase is waited for.
    """

    def __init__(self, folder: Path, console: Console, skip: int = 5, timed: int = 20, traced: int = 5) -> None:
        super().__init__()
        self.folder, self.console = folder, console
        self.skip, self.timed, self.traced = skip, timed, traced
        self.steps = 0  # that were timed
        self._seen = 0
        self._seconds: dict[str, float] = defaultdict(float)
        self._began: dict[str, float] = {}
        self._step_began: float | None = None
        self._trace: torch.profiler.profile | None = None
        self._trace_began = 0
        self._operators: list[str] = []
        self._said = False

    def start(self, action_name: str) -> None:
        """Lightning begins an action."""
        if action_name.endswith(_FIRST):
            self._end_step()
            self._begin_step()
        elif action_name.endswith(_AFTER_THE_LAST):
            self._end_step()
            self._end_trace()
        if self._step_began is not None:
            self._began[action_name] = _now()

    def stop(self, action_name: str) -> None:
        """Lightning ends an action."""
        began = self._began.pop(action_name, None)
        phase = next((phase for ending, phase in _PHASES.items() if action_name.endswith(ending)), None)
        if began is not None and phase is not None:
            took = _now() - began
            self._seconds[phase] += took
            if phase == "backward" and any(each.endswith(".training_step") for each in self._began):
                self._seconds["forward"] -= took  # within which a part of the batch had it

    def describe(self) -> None:
        """Print and write the summary, once."""
        if self._said or not self._seen:
            return
        self._said = True
        self._end_trace()
        summary = self.summary()
        if self._local_rank in (None, 0):
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "profile.txt").write_text(summary + "\n", encoding="utf-8")
            self.console.print(summary, markup=False, highlight=False, soft_wrap=True)

    def summary(self) -> str:
        """Ten lines: the phases of a step, and the operators that took most of the traced ones."""
        if not self.steps:
            return f"profile     nothing to tell: training ended within the {self.skip} steps that are left out"
        total, step = self._seconds["total"], self._seconds["step"]
        phases = {name: self._seconds[name] for name in ("data", "forward", "backward")}
        phases["optimizer"] = step - phases["forward"] - phases["backward"]
        phases["rest"] = total - step - phases["data"]
        lines = [f"profile     {1e3 * total / self.steps:.2f} ms a step, the mean of {self.steps}"]
        for name, seconds in phases.items():
            lines.append(f"  {name:<10}{1e3 * seconds / self.steps:9.2f} ms {seconds / total:7.1%}   {_MEANING[name]}")
        return "\n".join(lines + self._operators)

    def teardown(self, stage: str | None) -> None:
        """Training ended, well or not."""
        if self._trace is not None:
            self._trace.stop()
            self._trace = None
        super().teardown(stage)

    def _begin_step(self) -> None:
        self._seen += 1
        if self._seen > self.skip and self.steps < self.timed:
            self._step_began = _now()
        elif self.steps >= self.timed and not self._operators:
            if self._trace is None:
                self._trace, self._trace_began = torch.profiler.profile(), self._seen
                self._trace.start()
            elif self._seen - self._trace_began >= self.traced:
                self._end_trace()

    def _end_step(self) -> None:
        if self._step_began is not None:
            self._seconds["total"] += _now() - self._step_began
            self.steps += 1
            self._step_began = None

    def _end_trace(self) -> None:
        """Write the trace, and note its operators; in an epoch's last steps it may hold fewer than was wished."""
        if self._trace is None:
            return
        self._trace.stop()
        trace, self._trace = self._trace, None
        averages = trace.key_averages()
        gpu = any(each.self_device_time_total for each in averages)
        took = {each.key: each.self_device_time_total if gpu else each.self_cpu_time_total for each in averages}
        whole = sum(took.values()) or 1
        for name in sorted(took, key=lambda name: -took[name])[:_OPERATORS]:
            self._operators.append(f"  {name[:48]:<48} {took[name] / whole:6.1%} of the operators' time")
        if self._local_rank in (None, 0):
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / "trace.json"
            trace.export_chrome_trace(str(path))
            self._operators.append(f"  trace       {path}")


# The action that begins a step, those before which an epoch's last step is over, and the phases of what is between.
_FIRST = ".train_dataloader_next"
_AFTER_THE_LAST = (".on_validation_start", ".on_train_epoch_end")
_PHASES = {
    _FIRST: "data",
    ".batch_to_device": "data",
    ".training_step": "forward",
    ".backward": "backward",
    "run_training_batch": "step",
}
_MEANING = {
    "data": "waiting for the next batch",
    "forward": "model and loss",
    "backward": "gradients",
    "optimizer": "clipping and update",
    "rest": "schedule, callbacks, logging",
}
_OPERATORS = 3  # so that the summary has ten lines


def _now() -> float:
    """The clock, after what a GPU still had to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
