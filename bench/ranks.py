"""Texts per second of two processes with a thread each (gloo) against one process with two threads.

    python bench/ranks.py           # some minutes on two quiet cores
    python bench/ranks.py --small   # to see that it runs; the figures mean nothing

Both are `lexigraft train` with the same batches of 64 texts of 30 to 90 characters, of which there are 4,000 with
vectors of width 128: hardware=ddp_cpu, where each process takes its share of a batch, and hardware=cpu. The texts per
second are those of result.json: start-up, the first batches, validation and checkpoints are no part of them. The sides
take turns, and the one that begins changes from round to round; a ratio is the median over the rounds of the ratio
within a round. "communication" is the share of a step in which the gradients of the two meet and the backward pass does
not hide it.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from material import material

LEAST = 0.9
MODELS = {
    "transformer": ["model=transformer"],  # of two layers
    "bilstm": ["model=bilstm"],
}
SIDES = {"1 process": ["hardware=cpu", "hardware.threads=2"], "2 processes": ["hardware=ddp_cpu", "hardware.threads=1"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="few texts, one model")
    parser.add_argument("--rounds", type=int, help="runs of each side")
    parser.add_argument("--models", nargs="*", choices=MODELS, default=[*MODELS])
    arguments = parser.parse_args()
    rounds = arguments.rounds or (1 if arguments.small else 3)
    with tempfile.TemporaryDirectory(prefix="lexigraft-ranks-") as name:
        folder = Path(name)
        if arguments.small:
            words = material(folder, train=400)
        else:
            words = material(folder, train=12_800, characters=(30, 90), rows=4_000, width=128)
        for model in arguments.models[: 1 if arguments.small else None]:
            compare(folder, model, [*words, *MODELS[model]], rounds, arguments.small)


def compare(folder: Path, model: str, words: list[str], rounds: int, small: bool) -> None:
    """Train one model by both sides in turns, and print what they come to."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in SIDES}
    for turn in range(rounds):
        for name in list(SIDES) if turn % 2 else list(SIDES)[::-1]:
            root = folder / f"{model}-{name}-{turn}"
            found[name].append(speed([*words, *SIDES[name]], root))
    print(f"{model:22}{'ms a step':>10}{'texts/s':>10}{'communication':>15}")
    for name, of in found.items():
        step, rate = (statistics.median(each[key] for each in of) for key in ("step_ms", "samples_per_second"))
        shares = [each["seconds"]["communication"] for each in of]  # None of few batches
        known = [1e3 * each / of[i]["batches"] / of[i]["step_ms"] for i, each in enumerate(shares) if each is not None]
        share = f"{statistics.median(known):.1%}" if known else "-"
        print(f"{name:22}{step:10.2f}{rate:10.1f}{share:>15}")
    one, two = ([each["samples_per_second"] for each in found[name]] for name in SIDES)
    found_ratio = statistics.median(b / a for a, b in zip(one, two))
    reached = "" if small else "reached" if found_ratio >= LEAST else "MISSED"
    print(f"{'2 processes / 1':22}{found_ratio:8.3f}x   target >= {LEAST}x   {reached}".rstrip(), flush=True)


def speed(words: list[str], root: Path) -> dict[str, Any]:
    """What a run says of its speed."""
    line = [sys.executable, "-m", "lexigraft", "train", *words, "trainer.epochs=1", "test=false", f"output_root={root}"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    [result] = root.glob("runs/*/result.json")
    return json.loads(result.read_text(encoding="utf-8"))["speed"]


if __name__ == "__main__":
    main()
