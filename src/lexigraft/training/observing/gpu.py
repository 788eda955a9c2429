"""What a GPU took for a step, by events on its stream that are read when they have long passed."""

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

EVERY = 16  # steps: one of so many is timed
_PATIENCE = 2.0  # seconds between two looks at how busy the driver finds the GPU


class GpuSteps:
    """Times one step of `EVERY` on a GPU's own clock, without ever waiting for it.

    `milliseconds` sums up what sampled steps took: "data" (the part of the gap before a step in which the process
    waited for its batch), "gap" (all of it), "forward", "backward" and "optimizer"; `sampled` is their number. A step
    that is not sampled costs nothing. `event` makes a `torch.cuda.Event` with timing, `busy` a number 0 to 100.
    """

    def __init__(
        self,
        device: torch.device,
        event: Callable[[], Any] | None = None,
        busy: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.milliseconds = dict.fromkeys(("data", "gap", "forward", "backward", "optimizer"), 0.0)
        self.sampled = 0
        self._event = event or partial(torch.cuda.Event, enable_timing=True)
        self._busy: Callable[[], float] | None = busy or partial(torch.cuda.utilization, device)
        self._clock, self._looked = clock, clock()
        self._looks: list[float] = []
        self._steps = 0
        self._now: dict[str, Any] | None = None
        self._waiting: deque[dict[str, Any]] = deque()

    def step_ends(self, waited: float) -> None:
        """A step has been launched; `waited` are the seconds that the process waited for batches so far."""
        if self._now is not None and "optimizer" in self._now:
            self._waiting.append(self._now)
            self._now = None
        self._steps += 1
        if self._steps % EVERY == 0:
            self._read()
            self._look()
            # The next step is sampled, with the gap that begins here.
            self._now = {"before": self._recorded(), "waited": waited}

    def step_begins(self, waited: float) -> None:
        """A step is about to be launched."""
        if self._now is not None:
            self._now["waited"] = 1e3 * (waited - self._now["waited"])
            self._now["begin"] = self._recorded()

    def ended(self, phase: str) -> None:
        """A phase of the step has been launched, or as much of it as comes before another one."""
        if self._now is not None and "begin" in self._now:
            self._now[phase] = event = self._recorded()
            self._now.setdefault("ended", []).append((phase, event))

    def paused(self) -> None:
        """Something that is not training comes between two steps, so that the gap is not one of them."""
        self._now = None

    def finish(self) -> None:
        """Wait for the GPU once, and read what is left."""
        if self._waiting:
            self._waiting[-1]["optimizer"].synchronize()
            self._read()

    def busy(self) -> tuple[float, str] | None:
        """The share of time in which the GPU worked, and who says so; None if no step was sampled.

        "driver": the share of time in which some kernel of any process ran. "events", where `nvidia-ml-py` is not
        installed: the share of the time that is no gap between steps, an upper bound, since a step may have gaps too.
        """
        if self._looks:
            return sum(self._looks) / len(self._looks) / 100, "driver"
        worked = sum(self.milliseconds[phase] for phase in ("forward", "backward", "optimizer"))
        if not worked:
            return None
        return worked / (worked + self.milliseconds["gap"]), "events"

    def _recorded(self) -> Any:
        event = self._event()
        event.record()
        return event

    def _read(self) -> None:
        """Add up the sampled steps that the GPU is through with."""
        while self._waiting and self._waiting[0]["optimizer"].query():
            step = self._waiting.popleft()
            gap = step["before"].elapsed_time(step["begin"])
            self.milliseconds["gap"] += gap
            self.milliseconds["data"] += min(gap, step["waited"])
            before = step["begin"]
            for phase, event in step["ended"]:
                self.milliseconds[phase] += before.elapsed_time(event)
                before = event
            self.sampled += 1

    def _look(self) -> None:
        if self._busy is None or self._clock() - self._looked < _PATIENCE:
            return
        self._looked = self._clock()
        try:
            self._looks.append(float(self._busy()))
        except Exception:  # no nvidia-ml-py, or a driver that does not tell: torch raises whatever that one does
            self._busy = None
