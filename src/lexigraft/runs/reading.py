"""What a run's folder says of it: state, metrics, cost, and the code and data it was made with."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pydantic_core import from_json

from lexigraft.runs.folder import STATUS, RunFolder
from lexigraft.runs.state import Name, RunState

DAMAGED = "damaged"


@dataclass(frozen=True)
class Run:
    """One run; but for `id` and `folder`, what stands in its status.json, result.json and provenance.json.

    `state` is one of `RunState`'s names, or "damaged" where a file is torn or a finished run has no result; `error`
    tells in a sentence why it failed or is damaged. `metrics` holds every number of the result by name:
    "test/accuracy", "dev/topic/macro_f1", "best/value", "seconds/total", "counts/texts/train",
    "speed/samples_per_second"; None where it is undefined. `data` is one hash of the fingerprints of all texts. Code
    and data are known of finished runs alone.
    """

    id: str
    folder: Path
    state: str = "new"
    attempts: int = 0
    started: float | None = None  # seconds since 1970
    ended: float | None = None
    error: str | None = None
    monitor: str | None = None
    precision: str | None = None
    device: str | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    code: str | None = None  # package_sha256
    commit: str | None = None
    data: str | None = None

    @property
    def config(self) -> Path:
        """Its resolved config."""
        return RunFolder(self.folder).config

    @property
    def seconds(self) -> float | None:
        """How long it took in all."""
        return self.metrics.get("seconds/total")


def read_run(folder: Path) -> Run:
    """The run of a folder, which need not exist; what is wrong with its files is told in it, never raised.

    Whose result.json is there is finished, whatever status.json says: a process may have died between the two. A run
    that is "running" may be dead: see `runs.index.refresh`.
    """
    files = RunFolder(folder)
    status, trouble = _status(folder)
    known: dict[str, Any] = {"attempts": status.attempts, "started": status.started, "ended": status.ended}
    try:
        result = _json(files.result)
        known |= _result(result)
    except FileNotFoundError:
        result = {}
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        return Run(folder.name, folder, DAMAGED, **known, error=_sentence(files.result, error))
    if result.get("status") == "finished":
        return Run(folder.name, folder, "finished", **known, **_provenance(files.provenance))
    if status.name == "finished":
        trouble = (
            f"{files.result} is missing from a finished run: copy the folder again, or run it again with rerun=true"
        )
    return Run(folder.name, folder, DAMAGED if trouble else status.name, **known, error=trouble or status.error)


def stamp(folder: str) -> str:
    """Changes whenever status.json or result.json of a folder does: their sizes, times and inodes."""
    parts = []
    for name in (STATUS, "result.json"):
        try:
            of = os.stat(f"{folder}/{name}")
        except OSError:
            parts.append("-")
        else:
            parts.append(f"{of.st_size} {of.st_mtime_ns} {of.st_ctime_ns} {of.st_ino}")
    return "|".join(parts)


def _status(folder: Path) -> tuple[RunState, str | None]:
    """What status.json says, and what is wrong with it."""
    try:
        path = folder / STATUS
        state = RunState(**_json(path)) if path.is_file() else RunState()
    except (ValueError, TypeError, OSError) as error:
        return RunState(), _sentence(folder / STATUS, error)
    if state.name not in get_args(Name):
        return RunState(), _sentence(folder / STATUS, ValueError(f"it names the state {state.name!r}"))
    return state, None


def _json(path: Path) -> dict[str, Any]:
    """As `read_json`, but quicker (see bench/reading.py): there may be ten thousand runs."""
    with open(path, "rb") as file:
        content = from_json(file.read())
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, but an object is expected")
    return content


def _result(content: Mapping[str, Any]) -> dict[str, Any]:
    metrics = {f"{split}/{key}": of for split, values in content["metrics"].items() for key, of in _scalars(values)}
    for part in ("best", "seconds", "counts"):
        metrics |= _numbers(part, content.get(part) or {})
    metrics |= {f"speed/{key}": of for key, of in _scalars(content.get("speed") or {}) if of is not None}
    return {"metrics": metrics} | {key: content.get(key) for key in ("monitor", "precision", "device")}


def _scalars(values: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    """What a split's metrics hold beside tables (per_class, confusion) and names."""
    for key, of in values.items():
        if of is None or (isinstance(of, (int, float)) and not isinstance(of, bool)):
            yield key, of


def _numbers(prefix: str, values: Mapping[str, Any]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for key, of in values.items():
        if isinstance(of, Mapping):
            found |= _numbers(f"{prefix}/{key}", of)
        elif isinstance(of, (int, float)) and not isinstance(of, bool):
            found[f"{prefix}/{key}"] = of
    return found


def _provenance(path: Path) -> dict[str, Any]:
    """A result without a readable provenance.json counts; it is only not known what made it."""
    try:
        content = _json(path)
        code, data = content["code"], content["data"]
        text = json.dumps(data, sort_keys=True, ensure_ascii=False)
        digest = hashlib.sha256(text.encode()).hexdigest()
        return {"code": code["package_sha256"], "commit": code.get("git_commit"), "data": digest}
    except (ValueError, TypeError, KeyError, AttributeError, OSError):
        return {}


def _sentence(path: Path, error: Exception) -> str:
    """What is wrong with a file, and what to do."""
    if isinstance(error, OSError):
        return f"{path} cannot be read: {error.strerror or error}"
    what = f"it has no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
    if path.name == STATUS:
        return f"{path} is damaged ({what}): delete it, and the run can be begun again"
    return f"{path} is damaged ({what}): copy the folder again, or run it again with rerun=true"
