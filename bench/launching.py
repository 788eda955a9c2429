"""Seconds for a grid of short runs: `lexigraft train -m` against Hydra's joblib launcher and a loop of commands.

    python bench/launching.py --joblib FOLDER        # all of it
    python bench/launching.py --cells 2 --epochs 1   # to see that it runs; the figures mean little

FOLDER is where `pip install --no-deps --target FOLDER hydra-joblib-launcher joblib` put the launcher; without it that
row is left out. A cell is a training on one thread that takes about 2 seconds once everything is imported; cells differ
by their seed. Two run at once, but for the last row. All start from the shell, and all write complete run folders.

joblib's workers live on, so that imports are paid twice in all, and state goes from run to run; a loop pays them in
each run. "floor" is what two workers need for the runs alone: cells / 2 times the median of what the runs of the first
row took by their own clock, which starts after the imports. "overhead of a job" is what a job in a pool takes beside
that clock, one at a time, once the pool's server has imported everything.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from material import material

MOST = {"joblib": 0.35, "one by one": 0.2}
MOST_OVERHEAD = 0.3  # seconds
PEER = """\
import hydra
from omegaconf import OmegaConf
from lexigraft.config.catalog import conf_folder


@hydra.main(config_path=str(conf_folder()), config_name="train", version_base="1.3")
def main(cfg):
    from lexigraft.commands.train import run

    values = OmegaConf.to_container(cfg, resolve=True)
    values["hardware"]["precision"] = str(values["hardware"]["precision"])  # as lexigraft's check of a config does
    return run(OmegaConf.create(values))


if __name__ == "__main__":
    main()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=4, help="of each run")
    parser.add_argument("--joblib", type=Path, help="the folder that holds hydra-joblib-launcher")
    parser.add_argument("--no-loops", action="store_true", help="without the loops of commands, which take longest")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), arguments.cells, arguments.epochs, arguments.joblib, not arguments.no_loops)
        overhead(Path(folder), min(arguments.cells, 8), arguments.epochs)


def compare(folder: Path, cells: int, epochs: int, joblib: Path | None, loops: bool) -> None:
    """Each side once, in a folder of outputs of its own."""
    line = [*task(folder), f"trainer.epochs={epochs}"]
    app = folder / "app.py"
    app.write_text(PEER)
    seeds = [f"seed={i}" for i in range(cells)]
    sweep = f"seed={','.join(str(i) for i in range(cells))}"

    def ours(root: Path) -> None:
        call("-m", "lexigraft", "train", "-m", *line, sweep, "hydra.launcher.jobs=2", f"output_root={root}")

    def launcher(root: Path) -> None:
        settings = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
        call(str(app), "-m", *line, sweep, *settings, f"output_root={root}", path=joblib)

    def loop(root: Path, workers: int) -> None:
        with ThreadPoolExecutor(workers) as threads:
            one = [[*line, seed, f"output_root={root}"] for seed in seeds]
            list(threads.map(lambda words: call("-m", "lexigraft", "train", *words), one))

    sides: dict[str, Callable[[Path], None]] = {"lexigraft train -m": ours}
    if joblib is None:
        print("Hydra's joblib launcher is left out: give its folder by --joblib, see --help\n")
    else:
        sides["joblib"] = launcher
    if loops and cells > 1:
        sides["a loop, two at once"] = lambda root: loop(root, 2)
    if loops:
        sides["a loop, one by one"] = lambda root: loop(root, 1)
    seconds = {}
    print(f"{cells} cells{'':12}{'seconds':>10}{'per cell':>10}", flush=True)
    for number, (name, side) in enumerate(sides.items()):
        root = folder / f"outputs{number}"
        start = time.perf_counter()
        side(root)
        seconds[name] = time.perf_counter() - start
        results = list(root.glob("**/result.json"))
        assert len(results) == cells, f"{name}: {len(results)} of {cells} runs have a result"
        print(f"{name:<20}{seconds[name]:>10.1f}{seconds[name] / cells:>10.2f}", flush=True)
    took = [json.loads(file.read_text())["seconds"]["total"] for file in (folder / "outputs0").glob("**/result.json")]
    floor = statistics.median(took) * cells / 2
    print(f"{'floor':<20}{floor:>10.1f}{floor / cells:>10.2f}\n")
    for name, most in MOST.items():
        for side, took_there in seconds.items():
            if side.endswith(name):
                verdict(f"lexigraft / {side}", seconds["lexigraft train -m"] / took_there, floor / took_there, most)


def overhead(folder: Path, cells: int, epochs: int) -> None:
    """What a job takes beside its run."""
    from lexigraft.config.compose import loader
    from lexigraft.studies.composing import Composer
    from lexigraft.studies.job import Job
    from lexigraft.studies.pool import Pool

    line = [*task(folder), f"trainer.epochs={epochs}", f"output_root={folder / 'one_at_a_time'}"]
    with loader():
        compose = Composer("train")
        jobs = [Job(f"seed {seed}", compose([*line, f"seed={seed}"])) for seed in range(cells + 1)]
    beside = []
    with Pool(1) as pool:
        for job in jobs:
            start = time.perf_counter()
            (outcome,) = pool.run([job])
            took = time.perf_counter() - start
            assert outcome.state == "finished", outcome.error
            beside.append(took - json.loads((job.folder / "result.json").read_text())["seconds"]["total"])
    found = statistics.median(beside[1:])  # the first one waits for the imports
    said = "reached" if found <= MOST_OVERHEAD else "MISSED"
    print(f"{'overhead of a job':<34}{found:6.2f} s   target <= {MOST_OVERHEAD} s   {said}")


def verdict(name: str, ratio: float, least: float, most: float) -> None:
    """One ratio against its target, and the ratio of a launcher that costs nothing."""
    said = "reached" if ratio <= most else "MISSED"
    print(f"{name:<34}{ratio:6.2f}x   floor {least:.2f}x   target <= {most}x   {said}")


def call(*words: str, path: Path | None = None) -> None:
    """A Python process; its output is shown where it fails."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    if path is not None:
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(path), os.environ.get("PYTHONPATH")]))
    done = subprocess.run([sys.executable, *words], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def task(folder: Path) -> list[str]:
    """The words of a run on one thread."""
    words = material(folder, train=240, dev=40, test=40)
    return [
        *words, "data.classes=[a,b]", "model=textcnn", "model.encoder.channels=8", "trainer.batch_size=8",
        "trainer.patience=null", "optimizer.lr=1e-2", "hardware=cpu", "hardware.threads=1",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
