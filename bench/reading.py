"""Seconds to read 10,000 finished runs of a study into its table, without and with the index beside the runs.

    python bench/reading.py               # the figures that count; 450 MB in a temporary folder
    python bench/reading.py --runs 200    # to see that it runs

The runs are made up: result.json with the metrics, classes, confusion and history of ten classes and ten epochs,
provenance.json with 20 kB of uncommitted changes. Held against the index is reading every result.json.
"""

import argparse
import itertools
import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lexigraft.runs.index import INDEX, RUNS, refresh
from lexigraft.runs.state import RunState
from lexigraft.studies.cell import Cell
from lexigraft.studies.results import read_results
from lexigraft.studies.study import Study, Table
from lexigraft.studies.tabulating import result_table

MOST_SECONDS = 5.0
JUDGED_RUNS = 10_000
METRICS = ("test/accuracy", "test/macro_f1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=JUDGED_RUNS, help="run folders")
    parser.add_argument("--repeats", type=int, default=3, help="the fastest counts")
    arguments = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="lexigraft-reading-"))
    try:
        _measure(root, arguments.runs, arguments.repeats)
    finally:
        shutil.rmtree(root)


def _measure(root: Path, runs: int, repeats: int) -> None:
    study, cells = _study(root, runs)
    _write(cells)
    index = root / RUNS / INDEX

    def table() -> Any:
        return result_table(study, read_results(cells, METRICS))

    def anew() -> Any:
        index.unlink(missing_ok=True)
        return table()

    table()  # imports
    cold, made = _fastest(anew, repeats)
    warm, again = _fastest(table, repeats)
    assert made == again
    indexed, found = _fastest(lambda: refresh(root), repeats)
    assert found.read == 0
    naive, _ = _fastest(lambda: _all_json(root), repeats)
    judged = len(cells) >= JUDGED_RUNS
    print(f"{len(cells):,} runs into a table of {len(made.rows) * len(made.columns):,} places, {len(METRICS)} metrics")
    print("                         seconds  of processor")
    print(f"table without an index  {_both(cold)}   {_verdict(cold[0], judged)}")
    print(f"table with the index    {_both(warm)}   {_verdict(warm[0], judged)}")
    print(f"  of that, the runs     {_both(indexed)}   no target")
    print(f"reading all result.json {_both(naive)}   {naive[1] / indexed[1]:.1f}x of the index by processor time")
    if naive[0] > 1.5 * naive[1]:
        print("the machine was busy with other work: a good part of the seconds went by in waiting")


def _study(root: Path, runs: int) -> tuple[Study, list[Cell]]:
    """Five data sets x five ways to make rows x models x ten seeds."""
    models = max(1, runs // 250)
    axes: dict[str, Any] = {
        "data": ["sst2", "trec", "thucnews", "weibo", "chnsenticorp"],
        "transplant": ["random", "mean", "subtoken_mean", "omp", "focus"],
        "model": [f"model-{i}" for i in range(models)],
        "seed": list(range(10)),
    }
    cells = [
        Cell(dict(zip(axes, map(str, place))), (), _config(root, *place)) for place in itertools.product(*axes.values())
    ]
    return Study(axes=axes, table=Table(["data", "model"], ["transplant"]), metrics=list(METRICS), name="bench"), cells


def _config(root: Path, data: str, transplant: str, model: str, seed: int) -> dict[str, Any]:
    options = {f"option_{i}": [i, str(i), None, i / 7][i % 4] for i in range(8)}
    groups = ("cleaning", "subset", "balance", "source", "tokenizer", "task", "optimizer", "scheduler", "trainer")
    return {
        "output_root": str(root), "experiment": "bench", "seed": seed, "data": {"_target_": "files", "train": data},
        "transplant": {"_target_": transplant, **options}, "model": {"_target_": model, "encoder": options},
        **{group: {"_target_": f"lexigraft.{group}", **options} for group in groups},
        "hardware": {"precision": "32", "accelerator": "cpu", "threads": 1}, "logger": {}, "auxiliary": {},
    }  # fmt: skip


def _write(cells: list[Cell]) -> None:
    draw = random.Random(0)
    diff = "".join(draw.choice(["+    return value\n", '-        "key": other,\n', " # 注释\n"]) for _ in range(1000))
    for i, cell in enumerate(cells):
        cell.folder.mkdir(parents=True)
        data = {
            "name": cell.labels["data"],
            "sha256": dict.fromkeys(("train", "dev", "test"), "ab" * 32),
            "auxiliary": {},
        }
        code = {"package_sha256": "cd" * 32, "git_commit": "ef" * 20, "git_diff": diff}
        content = {
            "command": "lexigraft study bench",
            "seed": 0,
            "data": data,
            "versions": {"python": "3.11"},
            "code": code,
        }
        (cell.folder / "provenance.json").write_text(json.dumps(content, ensure_ascii=False, indent=2))
        (cell.folder / "result.json").write_text(json.dumps(_result(draw), indent=2))
        state = RunState("finished", 1, 1e9 + i, 1e9 + i + 60, "host", 1)
        (cell.folder / "status.json").write_text(json.dumps(vars(state), indent=2))


def _result(draw: random.Random) -> dict[str, Any]:
    def split() -> dict[str, Any]:
        scores = {key: round(draw.uniform(0.7, 0.9), 6) for key in ("accuracy", "macro_f1", "macro_precision", "loss")}
        each = dict.fromkeys(("precision", "recall", "f1"), 0.123456)
        per_class = {f"class {i}": {**each, "support": 1000} for i in range(10)}
        return {**scores, "per_class": per_class, "confusion": [[draw.randrange(999)] * 10] * 10, "count": 10000}

    epoch = {key: draw.random() for key in ("train_loss", "dev_loss", "dev_accuracy", "dev_macro_f1", "dev_roc_auc")}
    return {
        "status": "finished", "monitor": "accuracy", "best": {"epoch": 7, "step": 4900, "value": draw.random()},
        "metrics": {"dev": split(), "test": split()},
        "history": [{"epoch": i, "step": 700 * i, **epoch} for i in range(10)],
        "counts": {"texts": {"train": 44872, "dev": 10000, "test": 10000}, "parameters": 1023910},
        "precision": "32", "device": "cpu", "seconds": {"data": 0.3, "train": 137.4, "total": 146.2},
    }  # fmt: skip


def _all_json(root: Path) -> list[Any]:
    return [json.loads(path.read_bytes()) for path in sorted((root / RUNS).glob("*/result.json"))]


def _verdict(seconds: float, judged: bool) -> str:
    if not judged:
        return "too few to be held against the target"
    return f"target < {MOST_SECONDS:.0f} s   {'reached' if seconds < MOST_SECONDS else 'MISSED'}"


def _both(seconds: tuple[float, float]) -> str:
    return f"{seconds[0]:8.2f}  {seconds[1]:8.2f}"


def _fastest(work: Callable[[], Any], repeats: int) -> tuple[tuple[float, float], Any]:
    """Seconds by the clock and of the processor, of the fastest run each, and what it gave."""
    clock, processor = [], []
    for _ in range(repeats):
        start, before = time.perf_counter(), time.process_time()
        result = work()
        clock.append(time.perf_counter() - start)
        processor.append(time.process_time() - before)
    return (min(clock), min(processor)), result


if __name__ == "__main__":
    main()
