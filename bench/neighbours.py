"""FOCUS weights and nearest neighbours: seconds, and memory beyond the vectors themselves.

    python bench/neighbours.py           # 30,000 x 30,000 of width 100, and 100,000 x 100,000 of width 300: minutes
    python bench/neighbours.py --small   # seconds; the figures mean nothing

Vectors are clustered, as words are, and share a direction. Each measurement is a process of its own; its memory is
what it holds at most beyond what it held when its vectors were there, the answer included.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import torch

from lexigraft.transplant.neighbours import nearest
from lexigraft.transplant.sparsemax import sparse_weights

LEAST_SPEEDUP = 10.0
MOST_MB = {"focus": 512, "knn": 1000}
NEIGHBOURS = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="tiny sizes")
    parser.add_argument("--child", choices=MOST_MB, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps({"focus": focus, "knn": knn}[arguments.child](arguments.small)))
        return
    report(*(measured(name, arguments.small) for name in MOST_MB), arguments.small)


def report(weights: dict[str, float], neighbours: dict[str, float], small: bool) -> None:
    """Print what the two measurements found, and hold it against the targets."""
    speedup = weights["rows/s"] / weights["loop rows/s"]
    of_weights, of_neighbours = (f"{found['size']:,} x {found['size']:,}" for found in (weights, neighbours))
    print(
        f"FOCUS weights, {of_weights}: {weights['seconds']:.1f} s, {weights['support']:.0f} weights a row; "
        f"they differ from the loop's by {weights['difference']:.1e} at most"
        f"\nnearest {NEIGHBOURS}, {of_neighbours}: {neighbours['seconds']:.1f} s\n"
    )
    if small:
        print("too small to be held against the targets")
        return
    print(
        f"FOCUS weights, rows/s     {speedup:6.1f}x those of a loop over rows   target >= {LEAST_SPEEDUP:.0f}x      "
        f"{verdict(speedup >= LEAST_SPEEDUP)}"
    )
    for what, found, name in (("FOCUS weights", weights, "focus"), ("nearest neighbours", neighbours, "knn")):
        print(
            f"{what + ', memory':26}{found['MB']:5.0f} MB{'':24}target <= {MOST_MB[name]} MB  "
            f"{verdict(found['MB'] <= MOST_MB[name])}"
        )


def verdict(reached: bool) -> str:
    return "reached" if reached else "MISSED"


def measured(name: str, small: bool) -> dict[str, float]:
    """What the measurement of that name finds in a process of its own."""
    command = [sys.executable, __file__, "--child", name, *(["--small"] if small else [])]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def focus(small: bool) -> dict[str, float]:
    """sparse_weights against a loop over rows, which gets as many rows as take it about a second."""
    size, looped = (2_000, 20) if small else (30_000, 400)
    queries, keys = vectors(size, 100, 1), vectors(size, 100, 2)
    sparse_weights(queries[:300], keys)  # warm
    before = start_of_memory()
    started = time.perf_counter()
    made = sparse_weights(queries, keys)
    seconds = time.perf_counter() - started
    megabytes = (memory("VmHWM") - before) / 1e6
    started = time.perf_counter()
    expected = loop(queries[:looped], keys)
    loop_seconds = time.perf_counter() - started
    found = torch.zeros_like(expected)
    for i in range(looped):
        at = slice(made.start[i], made.start[i + 1])
        found[i, torch.from_numpy(made.source[at])] = torch.from_numpy(made.weight[at])
    return {
        "size": size,
        "seconds": seconds,
        "MB": megabytes,
        "rows/s": size / seconds,
        "loop rows/s": looped / loop_seconds,
        "support": len(made.source) / size,
        "difference": float((found - expected).abs().max()),
    }


def loop(queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """All cosines in one product, then algorithm 1 of Martins & Astudillo (2016) for one row after the other."""
    cosines = torch.nn.functional.normalize(queries) @ torch.nn.functional.normalize(keys).T
    numbers = torch.arange(1, len(keys) + 1)
    weights = torch.empty_like(cosines)
    for i, row in enumerate(cosines):
        falling = row.sort(descending=True).values
        sums = falling.cumsum(0)
        size = int((1 + numbers * falling > sums).sum())
        weights[i] = (row - (sums[size - 1] - 1) / size).clamp(min=0)
    return weights


def knn(small: bool) -> dict[str, float]:
    size = 3_000 if small else 100_000
    queries, keys = vectors(size, 300, 1), vectors(size, 300, 2)
    nearest(queries[:100], keys[:10_000], NEIGHBOURS)  # warm
    before = start_of_memory()
    started = time.perf_counter()
    nearest(queries, keys, NEIGHBOURS)
    seconds = time.perf_counter() - started
    return {"size": size, "seconds": seconds, "MB": (memory("VmHWM") - before) / 1e6}


def vectors(count: int, dim: int, seed: int) -> torch.Tensor:
    """Float32 `[count, dim]` around one of 1,500 centres each; the centres do not depend on the seed."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(1500, dim, generator=generator) + 0.5
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(count, dim, generator=generator)
    for part, of in zip(rows.split(4096), torch.randint(1500, (count,), generator=generator).split(4096), strict=True):
        part += centres[of]
    return rows


def start_of_memory() -> int:
    """Bytes that the process holds; the peak is counted from here."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def memory(line: str) -> int:
    """Bytes that the process holds now (VmRSS), or held at most (VmHWM)."""
    status = dict(entry.split(":", 1) for entry in Path("/proc/self/status").read_text().splitlines())
    return int(status[line].split()[0]) * 1024


if __name__ == "__main__":
    main()
