"""Seconds from the shell to an answer that needs no torch: medians over several starts.

python bench/startup.py [--runs 7] [--lines 6]
"""

import argparse
import statistics
import subprocess
import sys
import time

LINES = {
    "--help": 0.5,
    "train --help": 0.5,
    "train --cfg job": 1.0,
    "show model=bigru": 1.0,
    "train seeed=1": 1.0,
    "train trainer.epochs=abc": 1.0,
}


def seconds(line: str) -> float:
    """Wall time of one `lexigraft` process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "lexigraft", *line.split()], capture_output=True, check=False)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--lines", type=int, default=len(LINES), help="only the first so many command lines")
    arguments = parser.parse_args()
    print(f"{'lexigraft ...':<28}{'median s':>10}{'worst s':>10}{'target s':>10}")
    for line, target in list(LINES.items())[: arguments.lines]:
        seconds(line)  # once to fill the file cache
        times = [seconds(line) for _ in range(arguments.runs)]
        print(f"{line:<28}{statistics.median(times):>10.2f}{max(times):>10.2f}{target:>10.1f}")


if __name__ == "__main__":
    main()
