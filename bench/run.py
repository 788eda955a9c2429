"""The benchmarks one after the other, each in a process of its own: `make bench`.

python bench/run.py           # some minutes, and 4 GB in a temporary folder
python bench/run.py --small   # seconds, to see that they run; the figures mean nothing
"""

import argparse
import subprocess
import sys
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
    "active.py": ["--small"],
    "reviews.py": ["--small"],
    "titles.py": ["--small"],
    "overhead.py": ["--small"],
    "planning.py": ["--small"],
    "reading.py": ["--runs", "250", "--repeats", "1"],
    "faults.py": ["--kills", "2", "--texts", "80"],
    "chaos.py": ["--cells", "4", "--kills", "2"],
    "launching.py": ["--cells", "1", "--epochs", "1"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="tiny sizes")
    small = parser.parse_args().small
    failed = []
    for script, tiny in BENCHES.items():
        print(f"--- bench/{script}", flush=True)
        command = [sys.executable, str(Path(__file__).with_name(script)), *(tiny if small else [])]
        if subprocess.run(command, check=False).returncode:
            failed.append(script)
        print(flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
