"""A study whose run folders are written here: two data sets, three systems, three seeds, texts that need escaping."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from lexigraft.runs.folder import write_json
from lexigraft.runs.state import RunState
from lexigraft.studies.cell import Cell
from lexigraft.studies.results import Results, read_results
from lexigraft.studies.study import Compare, Study, Table

DATA = ("sst2", "影评")
ROWS = ("random", "copied_100% & #1", "移植</script><b>")
SEEDS = ("0", "1", "2")
CLASSES = ["差评", "中_评", "<好评>"]
VERSIONS = {"python": "3.11.7", "torch": "2.13.0"}


@dataclass(frozen=True)
class Made:
    study: Study
    cells: list[Cell]
    folder: Path  # of study.yaml

    @property
    def results(self) -> Results:
        return read_results(self.cells, self.study.metrics)


def study_of(**changed: Any) -> Study:
    """What the study file would say."""
    settings: dict[str, Any] = {
        "axes": {"data": list(DATA), "rows": {name: [] for name in ROWS}, "seed": [0, 1, 2]},
        "repeats": ["seed"],
        "metrics": ["test/accuracy", "test/macro_f1"],
        "table": Table(["data"], ["rows"]),
        "compare": Compare({"rows": "random"}, ["welch"]),
        "title": "Rows & reviews: 移植 <b>50%</b>",
        "name": "rows_and_reviews",
    }
    return Study(**settings | changed)


def written(root: Path, study: Study | None = None, ends: Callable[[Cell], str] = lambda cell: "finished") -> Made:
    """The study with its run folders below `root`; `ends` says the state of each, of which "new" has no folder."""
    study = study or study_of()
    folder = root / "experiments" / study.name
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text("# Are copied rows\n# worth it?\naxes: {seed: [0]}\n", encoding="utf-8")
    cells = []
    for data, rows, seed in product(DATA, ROWS, SEEDS):
        values = {"data": {"name": data}, "rows": rows, "seed": int(seed), "output_root": str(root / "outputs")}
        cells.append(Cell({"data": data, "rows": rows, "seed": seed}, (), values))
    for cell in cells:
        if (state := ends(cell)) != "new":
            write_run(cell, state)
    return Made(study, cells, folder)


def write_run(cell: Cell, state: str) -> None:
    """Its folder, as a run of that state leaves it."""
    cell.folder.mkdir(parents=True)
    error = "the loss is <NaN>\nmore" if state == "failed" else None
    RunState(state, 1, 1e9, 1e9 + 60, error=error).write(cell.folder)  # type: ignore[arg-type]
    if state == "finished":
        write_json(cell.folder / "result.json", _result(cell))
        made_with = {"code": {"package_sha256": "ab" * 32, "git_commit": "cd" * 20}, "versions": VERSIONS}
        write_json(cell.folder / "provenance.json", {**made_with, "data": {"name": cell.labels.get("data")}})


def _result(cell: Cell) -> dict[str, Any]:
    places = ((DATA, cell.labels.get("data")), (ROWS, cell.labels["rows"]))
    place = [labels.index(label) if label in labels else 0 for labels, label in places]
    random = np.random.default_rng([*place, cell.values["seed"]])
    accuracy = 0.7 + 0.05 * place[1] + 0.03 * place[0] + 0.01 * random.normal()
    confusion = random.integers(1, 9, (3, 3)) + 20 * (1 + place[1]) * np.eye(3, dtype=int)
    per_class = {
        name: {"precision": 0.8, "recall": 0.8, "f1": accuracy + 0.05 * i - 0.05, "support": 30}
        for i, name in enumerate(CLASSES)
    }
    test = {"accuracy": accuracy, "macro_f1": accuracy - 0.01, "loss": 1 - accuracy, "count": 90}
    epochs = 3 + (cell.labels["seed"] == "2")
    history = [
        {"epoch": i, "step": 10 * i, "train_loss": 1 / i, "dev_accuracy": accuracy - 0.3 / i, "dev_loss": 0.3}
        for i in range(1, epochs + 1)
    ]
    return {
        "status": "finished",
        "monitor": "accuracy",
        "best": {"epoch": 3, "step": 30, "value": accuracy},
        "metrics": {"test": {**test, "per_class": per_class, "confusion": confusion.tolist()}},
        "history": history,
        "counts": {"trainable_parameters": 1000 * 3 ** place[1]},
        "precision": "32",
        "device": "cpu",
        "seconds": {"train": 10.0 * (1 + place[1]) + float(random.random()), "total": 20.0},
    }
