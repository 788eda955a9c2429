"""The benchmarks one after the other, each in a process of its own: `make bench`.

python bench/run.py           # takes its time, and 4 GB in a temporary folder
python bench/run.py --small   # minutes, to see that they run, two at a time; the figures mean nothing
"""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BENCHES = {
    "startup.py": ["--runs", "1", "--lines", "2"],
    "matrix.py": ["--gb", "0.01", "--repeats", "1"],
    "matching.py": ["--size", "2000", "--repeats", "1"],
    "transplant.py": ["--rows", "300", "--source", "500", "--dim", "16", "--repeat", "1"],
    "omp.py": [
        *("--atoms", "200", "--dim", "16", "--k", "4", "--rows", "32", "--plain-rows", "8", "--repeat", "1"),
    ],
    "neighbours.py": ["--small"],
    "active.py": ["--small", "--threads", "1"],
    "reviews.py": ["--small", "--cpu-time"],
    "titles.py": ["--small", "--cpu-time"],
    "overhead.py": ["--small", "--cpu-time"],
    "pretraining.py": ["--small", "--cpu-time"],
    "gpu.py": ["--small", "--cpu-time", "--device", "cpu"],
    "checkpoints.py": ["--small"],
    "ranks.py": ["--small"],
    "planning.py": ["--small"],
    "reading.py": ["--runs", "250", "--repeats", "1"],
    "faults.py": ["--kills", "1", "--texts", "80"],
    "chaos.py": ["--cells", "4", "--kills", "1", "--every", "1"],
    "launching.py": ["--cells", "1", "--epochs", "1"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="tiny sizes")
    small = parser.parse_args().small
    failed = []
    with ThreadPoolExecutor(2 if small else 1) as pool:
        for script, done in [(script, pool.submit(_run, script, small)) for script in BENCHES]:
            output, code = done.result()
            if small:
                print(output, flush=True)
            if code:
                failed.append(script)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def _run(script: str, small: bool) -> tuple[str, int]:
    """The output, which is shown at once unless it is small, and the exit code."""
    title, command = f"--- bench/{script}", [sys.executable, str(Path(__file__).with_name(script))]
    if not small:
        print(f"{title}\n", flush=True)
        return "", subprocess.run(command, check=False).returncode
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, *BENCHES[script]], check=False, stdout=subprocess.PIPE, text=True, env=environment)
    return f"{title}\n{done.stdout}", done.returncode


if __name__ == "__main__":
    main()
