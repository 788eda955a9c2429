"""What a summary of speed says in words: lines for the end of training, and remedies while it runs."""

from collections.abc import Iterator
from typing import Any

MOST_WAIT, MOST_PADDING, LEAST_BUSY = 0.10, 0.30, 0.50
_WORTH_WORKERS = 1e-3  # seconds of waiting a batch: below that, handing a batch over takes as long


def lines(summary: dict[str, Any]) -> list[str]:
    """Two lines on where the time went, how fast training was and what memory it took; none if it was too short."""
    if summary["step_ms"] is None:
        return []
    shares = ", ".join(f"{name} {share:.0%}" for name, share in _shares(summary).items() if share is not None)
    beside = ", ".join(f"{name} {summary['seconds'][name]:.1f} s" for name in ("warm_up", "validation", "checkpoint"))
    rates = [
        f"{summary['samples_per_second']:,.0f} texts/s",
        f"{summary['tokens_per_second']:,.0f} tokens/s" if summary["tokens_per_second"] is not None else None,
        f"{summary['padding']:.0%} padding" if summary["padding"] is not None else None,
        f"MFU {summary['mfu']:.1%}" if summary["mfu"] is not None else None,
        f"GPU busy {summary['gpu_busy']:.0%}" if summary["gpu_busy"] is not None else None,
        f"{summary['peak_memory_bytes'] / 2**30:.2f} GiB at most" if summary["peak_memory_bytes"] is not None else None,
    ]
    return [
        f"speed       {summary['step_ms']:.1f} ms a batch: {shares}; {beside.replace('warm_up', 'warm-up')}",
        f"            {', '.join(rate for rate in rates if rate is not None)}",
    ]


def remedies(summary: dict[str, Any], *, workers: int, batch_tokens: int | None) -> Iterator[tuple[str, str]]:
    """What is slow, and a sentence on what to do, for each of "data", "padding" and "gpu" that is."""
    if summary["step_ms"] is None:
        return
    shares = _shares(summary)
    wait = shares["data"] or 0.0
    if wait > MOST_WAIT and wait * summary["step_ms"] / 1e3 > _WORTH_WORKERS:
        yield "data", f"training waits {wait:.0%} of its time for batches: raise trainer.workers (now {workers})"
    padding = summary["padding"]
    if padding is not None and padding > MOST_PADDING:
        cut = "lower trainer.max_tokens, or trainer.batch_tokens" if batch_tokens else "set trainer.batch_tokens"
        yield "padding", f"{padding:.0%} of what is computed is padding: {cut}, so that texts of like length meet"
    busy = summary["gpu_busy"]
    if busy is not None and busy < LEAST_BUSY:
        yield "gpu", f"the GPU works {busy:.0%} of the time: raise trainer.batch_size, or set hardware.compile=true"


def _shares(summary: dict[str, Any]) -> dict[str, float | None]:
    """What each phase has of the time of training, without warming up, validation and checkpoints."""
    seconds = summary["seconds"]
    names = ("data", "transfer", "forward", "backward", "communication", "optimizer", "rest")
    whole = sum(seconds[name] or 0.0 for name in names) or 1.0
    return {name: None if seconds[name] is None else seconds[name] / whole for name in names}
