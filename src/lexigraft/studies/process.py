"""What the process of a job does around its work. The fork server imports this module before it forks."""

import atexit
import gc
import json
import os
import pkgutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.forkserver import _forkserver
from pathlib import Path
from typing import Any

from lexigraft.processes import die_with_parent, sentence
from lexigraft.runs.folder import LOG
from lexigraft.runs.state import InUse, RunState


@dataclass(frozen=True)
class Order:
    """One attempt at a job: a call of `work`, "package.module:function", with `values`; `env` are all its variables."""

    name: str
    attempt: int
    work: str
    values: Mapping[str, Any]
    folder: str
    env: Mapping[str, str]


def carry_out(order: Order, answer: Connection) -> None:
    """Do the work in a session of its own, its output in the run folder's log, and send how it ended.

    The answer is JSON, {"state", "value", "error"}; "stopped" is the state of work that a signal ended.
    """
    _separate()
    try:
        os.environ.clear()
        os.environ.update(order.env)
        print_into_log(Path(order.folder), order.name, order.attempt)
        value = pkgutil.resolve_name(order.work)(order.values)
        state = "pruned" if _pruned(Path(order.folder)) else "finished"
        said: dict[str, Any] = {"state": state, "value": None if value is None else float(value)}
    except InUse as error:
        said = {"state": "in_use", "error": str(error)}
    except Exception as error:
        with suppress(OSError):  # the log may lie on a disk that is full
            traceback.print_exc()
        said = {"state": "failed", "error": sentence(error)}
    except BaseException as error:  # of Ctrl-C or a timeout, and Lightning's exit on SIGTERM
        with suppress(OSError):
            print(f"stopped: {error!r}", file=sys.stderr)
        said = {"state": "stopped"}
    answer.send_bytes(json.dumps(said).encode())
    answer.close()
    # A forked process leaves without these; loggers finish their files in them.
    atexit._run_exitfuncs()


def _separate() -> None:
    """Away from the launcher's terminal and signals, but not beyond the fork server's death."""
    os.setsid()
    die_with_parent()
    if _IMPORTED_BY not in (os.getpid(), os.getppid()):
        os._exit(1)  # it has died already
    os.register_at_fork(after_in_child=die_with_parent)  # as the loaders' processes
    # The fork server lives as long as somebody holds this end; only the launcher is to.
    os.close(_forkserver._forkserver_alive_fd)  # type: ignore[attr-defined]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    gc.freeze()  # what was imported before is not looked through, and so not copied


_IMPORTED_BY = os.getpid()  # the fork server, where it imported this


def print_into_log(folder: Path, name: str, attempt: int) -> None:
    """From now on write what this process prints into the log of a run, after a line that tells of the attempt."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOG, "ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    for stream in sys.stdout, sys.stderr:
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]
    now = time.strftime("%Y-%m-%d %H:%M:%S %z")
    print(f"--- {name}: attempt {attempt}, {now}, process {os.getpid()} on {socket.gethostname()}")


def _pruned(folder: Path) -> bool:
    try:
        return RunState.of_file(folder).name == "pruned"
    except OSError:  # what the work returned counts
        return False
