"""Training the rows that the data uses against training the whole matrix: seconds a step, and memory.

    python bench/active.py               # 250,002 x 768, 9,000 rows used, one thread and all: minutes, and 5 GB
    python bench/active.py --threads 1   # with so many threads only
    python bench/active.py --small       # seconds; the figures mean nothing

A mean-pool classifier, AdamW (fused, no decay), batches of 32 texts of 128 tokens, all drawn from the used rows. Both
ways train in one process and take turns, and what is printed is the median of their steps. Gradients and moments are
the bytes of those tensors; process memory is what a process of its own holds at most while it trains, beyond what it
held before its first step, the vectors of a batch included.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from lexigraft.models.active import activate
from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.encoders import Identity
from lexigraft.models.pooling import Mean

LEAST_SPEEDUP, LEAST_MEMORY = 12.0, 15.0
WAYS = ("full", "active")
BATCH, TOKENS = 32, 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="tiny sizes")
    parser.add_argument("--threads", type=int, help="with so many threads only")
    parser.add_argument("--child", choices=("steps", *WAYS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    size, dim, used, steps = (3_000, 32, 100, 3) if arguments.small else (250_002, 768, 9_000, 9)
    if arguments.child:
        torch.set_num_threads(arguments.threads)
        measure = (
            seconds(size, dim, used, steps) if arguments.child == "steps" else memory(size, dim, used, arguments.child)
        )
        print(json.dumps(measure))
        return
    print(f"{size:,} x {dim}, {used:,} rows used, {BATCH} texts of {TOKENS} tokens, AdamW")
    for threads in [arguments.threads] if arguments.threads else sorted({1, os.cpu_count() or 1}):
        report_time(threads, measured("steps", threads, arguments.small), arguments.small)
    full, active = (measured(way, arguments.threads or 1, arguments.small) for way in WAYS)
    report_memory(full, active, arguments.small)


def report_time(threads: int, found: dict[str, float], small: bool) -> None:
    """Print what a step takes with so many threads, and hold it against the target."""
    ratio = found["full"] / found["active"]
    print(
        f"a step, threads: {threads:<11} full {found['full'] * 1e3:8.1f} ms   active {found['active'] * 1e3:6.1f} ms"
        f"   {ratio:5.1f}x less{verdict(ratio, LEAST_SPEEDUP, small)}"
    )


def report_memory(full: dict[str, float], active: dict[str, float], small: bool) -> None:
    """Print what training holds, and hold it against the target."""
    for key in ("gradients and moments", "process memory"):
        ratio = full[key] / max(active[key], 1)
        print(
            f"{key:28} full {full[key] / 1e6:8.1f} MB   active {active[key] / 1e6:6.1f} MB"
            f"   {ratio:5.1f}x less{verdict(ratio, LEAST_MEMORY, small)}"
        )
    if small:
        print("too small to be held against the targets")


def verdict(ratio: float, least: float, small: bool) -> str:
    if small:
        return ""
    return f"   target >= {least:.0f}x   {'reached' if ratio >= least else 'MISSED'}"


def measured(name: str, threads: int, small: bool) -> dict[str, float]:
    """What the measurement of that name finds in a process of its own."""
    command = [sys.executable, __file__, "--child", name, "--threads", str(threads), *(["--small"] if small else [])]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def seconds(
    size: int, dim: int, used: int, steps: int, device: str = "cpu", now: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Median seconds of a step of both ways, which take turns; the first two steps are left out."""
    ways = {way: Training(size, dim, used, way, device) for way in WAYS}
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for step in range(steps + 2):
        for way, training in ways.items():
            batch = training.batch(step)
            started = now()
            training.step(*batch)
            found[way].append(now() - started)
    return {way: statistics.median(each[2:]) for way, each in found.items()}


def memory(size: int, dim: int, used: int, way: str) -> dict[str, float]:
    """Bytes that three steps of one way take."""
    training = Training(size, dim, used, way)
    before = start_of_memory()
    for step in range(3):
        training.step(*training.batch(step))
    held = status("VmHWM") - before
    moments = [each for state in training.optimizer.state.values() for each in state.values() if torch.is_tensor(each)]
    gradients = [each.grad for each in training.model.parameters() if each.grad is not None]
    return {
        "gradients and moments": sum(each.numel() * each.element_size() for each in [*gradients, *moments]),
        "process memory": held,
    }


class Training:
    """A mean-pool classifier of two classes and its optimizer."""

    def __init__(self, size: int, dim: int, used: int, way: str, device: str = "cpu") -> None:
        torch.manual_seed(0)
        rows = torch.randn(size, dim)
        self.words = torch.randperm(size - 1)[: used - 1] + 1
        layer = TransplantedEmbedding(rows, pad_id=0)
        if way == "active":
            activate(layer, self.words)
        self.model = Classifier(layer, Identity(dim), Mean(dim), {"main": Head(2)}).to(device)
        self.device = device
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, weight_decay=0.0, fused=True)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Ids `[32, 128]` and labels `[32]`, the same in both ways."""
        generator = torch.Generator().manual_seed(step)
        ids = self.words[torch.randint(len(self.words), (BATCH, TOKENS), generator=generator)]
        return ids.to(self.device), torch.randint(2, (BATCH,), generator=generator).to(self.device)

    def step(self, ids: Tensor, labels: Tensor) -> None:
        self.optimizer.zero_grad()
        nn.functional.cross_entropy(self.model(ids, torch.ones_like(ids, dtype=torch.bool)), labels).backward()
        self.optimizer.step()


def start_of_memory() -> int:
    """Bytes that the process holds; the peak is counted from here."""
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


def status(line: str) -> int:
    """Bytes that the process holds now (VmRSS), or held at most (VmHWM)."""
    found = dict(entry.split(":", 1) for entry in Path("/proc/self/status").read_text().splitlines())
    return int(found[line].split()[0]) * 1024


if __name__ == "__main__":
    main()
