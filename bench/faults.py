"""A run of three epochs that is killed at random, again and again, against the same run left alone.

    python bench/faults.py                      # 50 kills
    python bench/faults.py --ranks 2            # of one of the run's processes, whichever
    python bench/faults.py --kills 2 --texts 80 # to see that it runs

The run writes a checkpoint after every step. A process of it is killed by SIGKILL while it starts, or a moment after
one to three further checkpoints; then the same line goes on, until it ends with 0. Weights, optimizer, random streams,
Lightning's counters, history, curves and predictions have to be those of the undisturbed run, bit for bit.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import torch
from material import material, said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="how many (50)")
    parser.add_argument("--ranks", type=int, choices=(1, 2), default=1, help="processes that train (1)")
    parser.add_argument("--texts", type=int, default=960, help="for training, in batches of 8 (960)")
    parser.add_argument("--seed", type=int, default=0, help="of what is killed when")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lexigraft-faults-") as name:
        folder = Path(name)
        line = _line(material(folder, train=arguments.texts, dev=400), arguments.ranks)
        began = time.monotonic()
        if _run(line, folder, "calm").wait() != 0:
            sys.exit(said(folder, "calm"))
        quiet = time.monotonic() - began
        began = time.monotonic()
        where = _disturbed(line, folder, arguments)
        took = time.monotonic() - began
        [calm], [disturbed] = (list((folder / of / "runs").iterdir()) for of in ("calm", "disturbed"))
        problems = _differences(calm, disturbed)
        print(f"{sum(where.values())} kills of a run with {arguments.ranks} rank(s): ", end="")
        print(", ".join(f"{count} {what}" for what, count in sorted(where.items())))
        print(f"{took:.0f} s, undisturbed {quiet:.0f} s")
        print("\n".join(problems) or "the same bits: weights, optimizer, random streams, history, curves, predictions")
        if problems:
            sys.exit(1)


def _disturbed(line: list[str], folder: Path, arguments: argparse.Namespace) -> Counter[str]:
    """Kill until it was often enough, and let the run end: how many kills met it where."""
    draw = random.Random(arguments.seed)
    where = Counter[str]()
    for _ in range(10 * arguments.kills + 10):
        process = _run(line, folder, "disturbed")
        if sum(where.values()) < arguments.kills:
            _wait_for_the_moment(process, folder, draw)
            if process.poll() is None and _kill(process, draw):
                where[_where(folder)] += 1
        if process.wait() == 0:
            return where
        if sum(where.values()) == 0:
            break
    sys.exit(said(folder, "disturbed"))


def _wait_for_the_moment(process: subprocess.Popen[bytes], folder: Path, draw: random.Random) -> None:
    """While it starts, or after some more checkpoints, and then a moment longer."""
    if draw.random() < 0.1:
        with suppress(subprocess.TimeoutExpired):
            process.wait(draw.uniform(0, 5))
        return
    left, seen = draw.randint(1, 3), _stamp(folder)
    while left and process.poll() is None:
        time.sleep(0.002)
        if (now := _stamp(folder)) != seen:
            left, seen = left - 1, now
    time.sleep(draw.uniform(0, 0.15))


def _kill(process: subprocess.Popen[bytes], draw: random.Random) -> bool:
    """One of the run's processes, whichever; whether there was one. Nothing is left of the others afterwards."""
    try:
        parent = psutil.Process(process.pid)
        others = parent.children(recursive=True)
        draw.choice([parent, *others]).kill()
    except psutil.NoSuchProcess:
        return False
    process.wait(60)
    _, alive = psutil.wait_procs(others, timeout=60)
    if alive:
        sys.exit(f"60 s after a kill {len(alive)} of {len(others)} other processes were still there")
    return True


def _where(folder: Path) -> str:
    last = next((folder / "disturbed" / "runs").glob("*/checkpoints/last.ckpt"), None)
    if next((folder / "disturbed" / "runs").glob("*/checkpoints/last.ckpt.tmp"), None):
        return "amid a write"
    if last is None:
        return "before the first step"
    return "within an epoch" if torch.load(last, weights_only=True)["lexigraft"]["done"] else "after an epoch"


def _differences(calm: Path, disturbed: Path) -> list[str]:
    """What is not as it should be, in sentences."""
    found = []
    ours, theirs = (json.loads((run / "result.json").read_text(encoding="utf-8")) for run in (calm, disturbed))
    found += [f"another {key} in result.json" for key in ("best", "metrics", "history") if ours[key] != theirs[key]]
    for name in ("best.ckpt", "last.ckpt"):
        one, other = (torch.load(run / "checkpoints" / name, weights_only=True) for run in (calm, disturbed))
        found += [f"{name}: another {place}" for place in _unequal(one, other)]
    files = ["metrics.csv", *(str(path.relative_to(calm)) for path in calm.glob("predictions/*"))]
    found += [f"another {name}" for name in files if (calm / name).read_bytes() != (disturbed / name).read_bytes()]
    return found


def _unequal(one: Any, other: Any, place: str = "") -> list[str]:
    """Where two nested containers differ."""
    if isinstance(one, torch.Tensor):
        return [] if torch.equal(one, other) else [place]
    if isinstance(one, (list, tuple)):
        one, other = dict(enumerate(one)), dict(enumerate(other))
    if isinstance(one, dict):
        if one.keys() != other.keys():
            return [place]
        return [found for key in one for found in _unequal(one[key], other[key], f"{place}/{key}")]
    return [] if one == other else [place]


def _line(words: list[str], ranks: int) -> list[str]:
    hardware = ["hardware=cpu"] if ranks == 1 else ["hardware=ddp_cpu", f"hardware.devices={ranks}"]
    return [
        sys.executable, "-m", "lexigraft", "train", *words, *hardware, "hardware.threads=1", "model.encoder.channels=8",
        "trainer.epochs=3", "trainer.batch_size=8", "optimizer.lr=1e-2", "augment=[deletion]", "averaging=ema",
        "trainer.keep_last=true", "trainer.checkpoint_every=1e-9",
    ]  # fmt: skip


def _run(line: list[str], folder: Path, outputs: str) -> subprocess.Popen[bytes]:
    with open(folder / f"{outputs}.txt", "ab") as log:
        return subprocess.Popen(
            [*line, f"output_root={folder / outputs}"], stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def _stamp(folder: Path) -> int:
    for path in (folder / "disturbed" / "runs").glob("*/checkpoints/last.ckpt"):
        with suppress(FileNotFoundError):
            return os.stat(path).st_mtime_ns
    return 0


if __name__ == "__main__":
    main()
