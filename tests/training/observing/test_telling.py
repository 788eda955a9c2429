from typing import Any

from lexigraft.training.observing.telling import lines, remedies

SECONDS: dict[str, float | None] = {
    "total": 14.0, "warm_up": 1.0, "data": 0.5, "transfer": 0.0, "forward": 4.0, "backward": 4.5,
    "communication": 0.0, "optimizer": 0.5, "validation": 2.0, "checkpoint": 1.0, "rest": 0.5,
}  # fmt: skip
SUMMARY: dict[str, Any] = {
    "seconds": SECONDS, "measured_by": "clock", "batches": 100, "step_ms": 100.0, "samples_per_second": 640.0,
    "tokens_per_second": 12_345.6, "padding": 0.12, "mfu": None, "gpu_busy": None, "gpu_busy_by": None,
    "peak_memory_bytes": 3 * 2**29,
}  # fmt: skip


def told(**changed: Any) -> dict[str, str]:
    return dict(remedies(SUMMARY | changed, workers=2, batch_tokens=None))


def test_two_lines() -> None:
    assert lines(SUMMARY) == [
        "speed       100.0 ms a batch: data 5%, transfer 0%, forward 40%, backward 45%, communication 0%, "
        "optimizer 5%, rest 5%; warm-up 1.0 s, validation 2.0 s, checkpoint 1.0 s",
        "            640 texts/s, 12,346 tokens/s, 12% padding, 1.50 GiB at most",
    ]


def test_a_gpu_has_more_to_say_and_what_is_unknown_is_left_out() -> None:
    first, second = lines(SUMMARY | {"mfu": 0.414, "gpu_busy": 0.93, "seconds": SECONDS | {"communication": None}})
    assert "communication" not in first
    assert second.endswith("12% padding, MFU 41.4%, GPU busy 93%, 1.50 GiB at most")
    assert lines(SUMMARY | {"step_ms": None}) == []


def test_nothing_is_told_of_what_is_well() -> None:
    assert told(gpu_busy=0.5, padding=0.3) == {}


def test_waiting_for_data() -> None:
    assert told(seconds=SECONDS | {"data": 5.0}) == {
        "data": "training waits 34% of its time for batches: raise trainer.workers (now 2)"
    }
    assert told(seconds=SECONDS | {"data": 5.0}, step_ms=2.0) == {}, "handing batches over would take as long"


def test_padding() -> None:
    assert told(padding=0.4)["padding"].startswith("40% of what is computed is padding: set trainer.batch_tokens")
    given = dict(remedies(SUMMARY | {"padding": 0.4}, workers=0, batch_tokens=4096))
    assert "lower trainer.max_tokens" in given["padding"]


def test_an_idle_gpu() -> None:
    assert told(gpu_busy=0.2) == {
        "gpu": "the GPU works 20% of the time: raise trainer.batch_size, or set hardware.compile=true"
    }
    assert told(gpu_busy=0.2, step_ms=None) == {}
