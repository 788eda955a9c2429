"""A run's folder: outputs/runs/<id>/. Everything that evaluation needs later lies inside."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lexigraft.runs.identity import run_id

# What `runs/state.py` and the pool of a study keep in it, whatever becomes of the run.
STATUS, LOCK, LOG = "status.json", "run.lock", "log.txt"
DIFF = "code.diff"


@dataclass(frozen=True)
class RunFolder:
    """Names of what lies in a run folder."""

    path: Path

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "RunFolder":
        """The folder of the run with this resolved config, whether it is there or not."""
        return cls(Path(values["output_root"]) / "runs" / run_id(values))

    def begin(self, config_yaml: str) -> None:
        """Make the folders and write the config; what an earlier attempt left stays."""
        for folder in (self.path, self.checkpoints, self.transplant, self.figures, self.predictions):
            folder.mkdir(parents=True, exist_ok=True)
        write_text(self.config, config_yaml)

    def clear(self) -> None:
        """Take away what earlier attempts left, but for the log and who works on it."""
        for path in self.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in (STATUS, LOCK, LOG):
                path.unlink()

    def finished_result(self) -> dict[str, Any] | None:
        """`result.json` of a finished run, else None."""
        if not self.result.is_file():
            return None
        result = read_json(self.result)
        return result if result.get("status") == "finished" else None

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """An existing run folder; `FileNotFoundError` if it is none, or holds no trained model."""
        run = cls(path)
        for needed in (run.config, run.model, run.best):
            if not needed.is_file():
                raise FileNotFoundError(
                    f"{path} is not a finished run: it has no {needed.relative_to(path)}; give the folder that "
                    "`lexigraft train` printed, outputs/runs/<id>"
                )
        return run

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    def read_config(self) -> DictConfig:
        """The resolved config that the run was made with."""
        cfg = OmegaConf.load(self.config)
        assert isinstance(cfg, DictConfig)
        return cfg

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def provenance(self) -> Path:
        return self.path / "provenance.json"

    @property
    def diff(self) -> Path:
        """The uncommitted changes of a checkout, where there were any."""
        return self.path / DIFF

    @property
    def model(self) -> Path:
        """What is needed to build the network again before its weights are loaded."""
        return self.path / "model.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        return self.checkpoints / "best.ckpt"

    @property
    def last(self) -> Path:
        """All that is needed to go on after the last epoch; taken away at the end."""
        return self.checkpoints / "last.ckpt"

    @property
    def pretrained(self) -> Path:
        """What a pretraining leaves: a checkpoint that transformers loads, or static vectors."""
        return self.path / "pretrained"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions"

    @property
    def tokenizer(self) -> Path:
        return self.path / "tokenizer"

    @property
    def transplant(self) -> Path:
        return self.path / "transplant"

    @property
    def splits(self) -> Path:
        return self.path / "splits"

    def splits_of(self, task: str) -> Path:
        """Where the splits of a task lie: those of "main" in `splits`, others' in a folder of their name below it."""
        return self.splits if task == "main" else self.splits / task

    @property
    def figures(self) -> Path:
        return self.path / "figures"


def require_writable(root: Path, setting: str) -> None:
    """`ValueError` unless folders can be made in `root`, the value of `setting`; nothing is made."""
    nearest = next(p for p in (root.absolute(), *root.absolute().parents) if p.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        why = "is read-only for this user" if nearest.is_dir() else "is a file"
        raise ValueError(f"nothing can be written to {setting}={root}: {nearest} {why}; give another folder")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file that `write_json` wrote; `ValueError` where it is damaged."""
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): copy the folder again") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, but an object is expected: copy the folder again")
    return content


def write_text(path: Path, text: str) -> None:
    """Write a file as a whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write plain values as JSON, as a whole or not at all; NaN is refused rather than written."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")
