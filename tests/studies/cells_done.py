"""Cells of a study with run folders as training would have left them."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from lexigraft.runs.folder import write_json
from lexigraft.runs.predictions import Predictions, save_predictions
from lexigraft.runs.state import Name, RunState
from lexigraft.studies.cell import Cell

CLASSES = ("bad", "good")


def cells_of(root: Path, axes: Mapping[str, Sequence[Any]], **values: Any) -> list[Cell]:
    """The product of the axes; the labels alone tell their configs apart."""
    return [
        Cell(labels, (), {"output_root": str(root), "seed": labels.get("seed"), "labels": labels, **values})
        for place in product(*axes.values())
        for labels in [dict(zip(axes, map(str, place)))]
    ]


def finish(
    cell: Cell,
    accuracy: float | None,
    seconds: float = 10.0,
    code: str = "c0de" * 16,
    data: str = "texts",
    device: str = "cpu",
    precision: str = "32",
    **test: float | None,
) -> None:
    """Give a cell a result."""
    result = {
        "status": "finished", "monitor": "accuracy", "best": {"epoch": 1, "step": 2, "value": 0.5},
        "metrics": {"dev": {"accuracy": 0.5, "macro_f1": 0.5}, "test": {"accuracy": accuracy, **test}},
        "history": [], "counts": {"texts": {"train": 900, "dev": 50, "test": 100}, "parameters": 1234},
        "precision": precision, "device": device, "seconds": {"train": seconds / 2, "total": seconds},
    }  # fmt: skip
    cell.folder.mkdir(parents=True, exist_ok=True)
    write_json(cell.folder / "result.json", result)
    write_json(
        cell.folder / "provenance.json",
        {"data": {"sha256": data}, "code": {"package_sha256": code, "git_commit": f"commit of {code}"}},
    )
    RunState("finished", 1, 100.0, 100.0 + seconds).write(cell.folder)


def leave(cell: Cell, state: Name, error: str | None = None, started: float | None = 1.0) -> None:
    """Leave a cell in a state other than finished."""
    cell.folder.mkdir(parents=True, exist_ok=True)
    RunState(state, 1, started, error=error).write(cell.folder)


def predict(cell: Cell, right: np.ndarray, split: str = "test") -> None:
    """Predictions of two classes, right where `right` `[N]` says so."""
    gold = np.arange(len(right), dtype=np.int32) % 2
    predicted = np.where(right, gold, 1 - gold).astype(np.int32)
    scores = np.eye(2, dtype=np.float32)[predicted]
    texts = tuple(f"{i:016x}" for i in range(len(right)))
    predictions = Predictions("class", CLASSES, texts, gold, predicted, scores)
    save_predictions(cell.folder / "predictions" / f"{split}.parquet", predictions)
