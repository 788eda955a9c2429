import pytest
import torch

from lexigraft.training.observing.gpu import EVERY, GpuSteps


class Stream:
    """A stand-in for a GPU, which may be behind what was launched: events lie on its own clock, in ms."""

    def __init__(self) -> None:
        self.now = 0.0
        self.through = float("inf")  # until when the process knows the GPU to be


class Event:
    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def record(self) -> None:
        self.at = self.stream.now

    def query(self) -> bool:
        return self.at <= self.stream.through

    def synchronize(self) -> None:
        self.stream.through = self.stream.now

    def elapsed_time(self, other: "Event") -> float:
        return other.at - self.at


def run(gpu: GpuSteps, stream: Stream, steps: int, waited: float) -> None:
    """Steps with a gap of 3 ms between them, in each of which so many seconds are waited for data."""
    for step in range(steps):
        stream.now += 3
        gpu.step_begins(waited * (step + 1))
        for phase, took in (("forward", 10), ("backward", 20), ("optimizer", 5)):
            stream.now += took
            gpu.ended(phase)
        gpu.step_ends(waited * (step + 1))


def unknown() -> float:
    raise ModuleNotFoundError("pynvml")


def test_one_step_of_sixteen_is_timed_on_the_gpus_clock() -> None:
    stream = Stream()
    gpu = GpuSteps(torch.device("cpu"), event=lambda: Event(stream), busy=unknown)
    run(gpu, stream, 3 * EVERY + 1, waited=0.002)
    gpu.finish()
    assert gpu.sampled == 3
    assert gpu.milliseconds == {
        "gap": 9, "data": pytest.approx(6), "forward": 30, "backward": 60, "optimizer": 15
    }  # fmt: skip
    assert gpu.busy() == (35 / 38, "events")


def test_waiting_that_the_gpu_does_not_notice_is_no_waiting() -> None:
    stream = Stream()
    gpu = GpuSteps(torch.device("cpu"), event=lambda: Event(stream), busy=unknown)
    run(gpu, stream, EVERY + 1, waited=1.0)
    gpu.finish()
    assert gpu.milliseconds["data"] == gpu.milliseconds["gap"] == 3


def test_nothing_is_read_before_the_gpu_is_through() -> None:
    stream = Stream()
    stream.through = -1
    gpu = GpuSteps(torch.device("cpu"), event=lambda: Event(stream), busy=unknown)
    run(gpu, stream, 4 * EVERY, waited=0.0)
    assert gpu.sampled == 0
    assert gpu.busy() is None
    gpu.finish()
    assert gpu.sampled == 3


def test_validation_is_no_gap() -> None:
    stream = Stream()
    gpu = GpuSteps(torch.device("cpu"), event=lambda: Event(stream), busy=unknown)
    run(gpu, stream, EVERY, waited=0.0)
    gpu.paused()
    stream.now += 1000
    run(gpu, stream, 1, waited=0.0)
    gpu.finish()
    assert gpu.sampled == 0


def test_the_driver_is_asked_now_and_then() -> None:
    stream, clock = Stream(), [0.0]
    asked = iter([30.0, 50.0])
    gpu = GpuSteps(torch.device("cpu"), event=lambda: Event(stream), busy=lambda: next(asked), clock=lambda: clock[0])
    for seconds in (0, 3, 4, 6):
        clock[0] = seconds
        run(gpu, stream, EVERY, waited=0.0)
    assert gpu.busy() == (0.4, "driver")
