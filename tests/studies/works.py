"""What jobs of a pool do in its tests: `values` say by `do` which of these things."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lexigraft.runs.folder import write_json
from lexigraft.runs.identity import run_id
from lexigraft.runs.state import RunState, claimed
from lexigraft.studies.job import Job

WORK = "tests.studies.works:work"


def job(root: Path, name: str, do: str = "finish", env: Mapping[str, str] | None = None, **values: Any) -> Job:
    """A job that does `do`; jobs differ by their name."""
    return Job(name, {"output_root": str(root), "name": name, "do": do, **values}, env or {})


def work(values: Mapping[str, Any]) -> float | None:
    """A run of its own folder: claimed, done unless it is, recorded with the process that did it."""
    folder = Path(values["output_root"]) / "runs" / run_id(values)
    result = folder / "result.json"
    with claimed(folder) as before:
        if not result.is_file():
            value = globals()[f"_{values['do']}"](values, folder, before.attempts)
            write_json(result, {"best": {"value": value}, "by": os.getpid()})
    best: float | None = json.loads(result.read_text())["best"]["value"]
    return best


def _finish(values: Mapping[str, Any], folder: Path, before: int) -> float:
    return float(values.get("value", 1.0))


def _sleep(values: Mapping[str, Any], folder: Path, before: int) -> float:
    (folder / "pid").write_text(str(os.getpid()))
    time.sleep(values["seconds"])
    return 1.0


def _child(values: Mapping[str, Any], folder: Path, before: int) -> float:
    """Waits in vain, and so do a program and a forked process that it started."""
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    forked = os.fork()
    if not forked:
        time.sleep(600)
    (folder / "forked").write_text(str(forked))
    (folder / "child").write_text(str(other.pid))
    return _sleep(values, folder, before)


def _raise(values: Mapping[str, Any], folder: Path, before: int) -> float:
    raise ZeroDivisionError("three by nothing")


def _kill(values: Mapping[str, Any], folder: Path, before: int) -> float:
    """Dies by a signal in the first so many attempts."""
    print(f"before attempt {before + 1} dies", flush=True)
    if before < values.get("times", 100):
        os.kill(os.getpid(), values.get("signal", signal.SIGKILL))
        time.sleep(60)
    return 2.0


def _leave(values: Mapping[str, Any], folder: Path, before: int) -> float:
    os._exit(3)


def _stubborn(values: Mapping[str, Any], folder: Path, before: int) -> float:
    for number in signal.SIGINT, signal.SIGTERM:
        signal.signal(number, signal.SIG_IGN)
    return _sleep(values, folder, before)


def _report(values: Mapping[str, Any], folder: Path, before: int) -> float:
    """Prints what its process is like."""
    about = {
        "env": dict(os.environ),
        "session": os.getsid(0) == os.getpid(),
        "interrupts": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
        "threads": len(list(Path("/proc/self/task").iterdir())) if sys.platform == "linux" else 1,
        "main": getattr(sys.modules["__main__"], "__file__", None),
        "began": time.time(),
    }
    time.sleep(values.get("seconds", 0))
    (folder / "about.json").write_text(json.dumps({**about, "ended": time.time()}))
    print("数据", "\udcff")
    return 0.5


def _prune(values: Mapping[str, Any], folder: Path, before: int) -> float:
    RunState("pruned").write(folder)
    return 0.25


def _tear(values: Mapping[str, Any], folder: Path, before: int) -> float:
    (folder / "status.json").write_text('{"name": "fin')
    os.kill(os.getpid(), signal.SIGKILL)
    return 0.0


def _text(values: Mapping[str, Any], folder: Path, before: int) -> Any:
    return "no number"
