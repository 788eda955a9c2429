"""A study whose processes are killed at random, again and again, against the same study left alone.

    python bench/chaos.py                      # 40 cells; some ten minutes on two cores
    python bench/chaos.py --cells 4 --kills 2  # to see that it runs

While jobs run, every few seconds one process is killed by SIGKILL: the launcher, the fork server, a job or whatever
else the launcher has started, each alike. A launcher that died is started again by the same line, until it ends with 0.
Then every cell has to have one result, made once, with the same weights after every epoch as in the undisturbed study,
and the printed tables have to be equal.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
from material import material, said

_IDLE = 3  # processes without a job: the launcher, the fork server and multiprocessing's tracker
STUDY = """\
# What survives?
base: {base}
axes:
  rows: {{random: [transplant=random], transplanted: []}}
  seed: {seeds}
compare: {{baseline: {{rows: random}}, tests: [paired_bootstrap, welch, wilcoxon]}}
table: {{columns: [rows]}}
launch: {{jobs: 2, retries: 2}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=40, help="an even number (40)")
    parser.add_argument("--every", type=float, default=4.0, help="seconds between two kills, on average (4)")
    parser.add_argument("--kills", type=int, default=1000, help="at most so many")
    parser.add_argument("--seed", type=int, default=0, help="of what is killed when")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lexigraft-chaos-") as name:
        folder = Path(name)
        base = [
            *material(folder, train=240), "model.encoder.channels=8", "trainer.epochs=3", "trainer.batch_size=8",
            "optimizer.lr=1e-2", "hardware=cpu", "hardware.threads=1",
        ]  # fmt: skip
        (folder / "chaos").mkdir()
        text = STUDY.format(base=json.dumps(base), seeds=list(range(arguments.cells // 2)))
        (folder / "chaos" / "study.yaml").write_text(text, encoding="utf-8")
        began = time.monotonic()
        calm = _study(folder, "calm")
        if calm.wait() != 0:
            sys.exit(said(folder, "calm"))
        quiet = time.monotonic() - began
        began = time.monotonic()
        kills, starts, twice = _disturbed(folder, arguments)
        took = time.monotonic() - began
        problems = [f"{name} was made twice" for name in twice] + _differences(folder, arguments.cells)
        print(f"{arguments.cells} cells, {kills} kills of {starts} launchers and their processes: ", end="")
        print(f"{took:.0f} s, undisturbed {quiet:.0f} s")
        print("\n".join(problems) or "no cell lost, none made twice, the table is the same")
        if problems:
            sys.exit(1)


def _study(folder: Path, outputs: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "lexigraft", "study", str(folder / "chaos"), f"output_root={folder / outputs}"]
    log = open(folder / f"{outputs}.txt", "a", encoding="utf-8")  # noqa: SIM115 - the process keeps it
    return subprocess.Popen(line, stdout=log, stderr=subprocess.STDOUT, text=True, start_new_session=True)


def _disturbed(folder: Path, arguments: argparse.Namespace) -> tuple[int, int, list[str]]:
    """Kill until the study is done: how many processes, how many launchers it took, and runs with two results."""
    draw = random.Random(arguments.seed)
    kills, made = 0, dict[str, int]()
    twice: list[str] = []
    for start in range(1, 1000):
        launcher = _study(folder, "disturbed")
        while launcher.poll() is None:
            pause = draw.uniform(0.5, 1.5) * arguments.every if kills < arguments.kills else None
            with suppress(subprocess.TimeoutExpired):
                launcher.wait(pause)
            for result in (folder / "disturbed" / "runs").glob("*/result.json"):
                stamp = result.stat().st_mtime_ns
                if made.setdefault(result.parent.name, stamp) != stamp:
                    twice.append(result.parent.name)
            if launcher.poll() is not None:
                break
            with suppress(psutil.NoSuchProcess):
                parent = psutil.Process(launcher.pid)
                family = [parent, *parent.children(recursive=True)]
                if len(family) > _IDLE:
                    os.kill(draw.choice(family).pid, 9)
                    kills += 1
        if launcher.returncode == 0:
            return kills, start, twice
    sys.exit(said(folder, "disturbed"))


def _differences(folder: Path, cells: int) -> list[str]:
    """What is wrong with the disturbed study, in sentences."""
    found = []
    calm, disturbed = (sorted((folder / name / "runs").glob("*/result.json")) for name in ("calm", "disturbed"))
    if len(disturbed) != cells:
        found.append(f"{len(disturbed)} of {cells} cells have a result")
    for one, other in zip(calm, disturbed):
        ours, theirs = (json.loads(path.read_text(encoding="utf-8")) for path in (one, other))
        name = other.parent.name
        found += [f"{name}: another {key}" for key in ("best", "metrics", "history") if ours[key] != theirs[key]]
    tables = [_table(folder, name) for name in ("calm", "disturbed")]
    if tables[0] != tables[1]:
        found.append(f"the tables differ:\n{tables[0]}\n{tables[1]}")
    return found


def _table(folder: Path, outputs: str) -> str:
    line = [sys.executable, "-m", "lexigraft", "study", str(folder / "chaos"), "--table"]
    done = subprocess.run([*line, f"output_root={folder / outputs}"], capture_output=True, text=True, check=True)
    return done.stdout


if __name__ == "__main__":
    main()
