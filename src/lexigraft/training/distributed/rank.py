"""`python -m lexigraft.training.distributed.rank`: one process of a run, which a supervisor has started.

It reads what to do from standard input, and from no command line: {"work": "package.module:function", "values": the
resolved config}. How it ended it writes into the pipe whose number is its first argument.
"""

import faulthandler
import json
import os
import pkgutil
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from lexigraft.config.errors import innermost, is_users
from lexigraft.config.preflight import frozen
from lexigraft.process_group import leave_group
from lexigraft.processes import die_with_parent, sentence

STOPPED = 130  # the exit code of a rank that a signal has ended
_LONGEST = 10_000  # characters of a traceback; with its sentence it has to fit into a pipe that nobody reads yet


def main() -> int:
    """Do the work and tell how it ended; the exit code."""
    answer, parent = Connection(int(sys.argv[1]), readable=False), int(sys.argv[2])
    die_with_parent()
    if os.getppid() != parent:
        return 1  # it has died already
    os.register_at_fork(after_in_child=die_with_parent)  # the loaders' processes
    faulthandler.enable()
    # Until training has its own: a stop is a stop also while data are prepared.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.default_int_handler)
    order = json.load(sys.stdin)
    said = carry_out(order["work"], order["values"])
    answer.send_bytes(json.dumps(said).encode())
    answer.close()
    sys.stdout.flush()
    return {"finished": 0, "failed": 1}.get(said["state"], STOPPED)


def carry_out(work: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Call `work` with the frozen config of `values`; {"state", "at"} and "value", "error" or "code".

    "stopped" is the state of work that a signal ended, "code" the exit code that it asks for. "at" is when it ended,
    in seconds of a clock that all processes of a machine share.
    """
    try:
        value = pkgutil.resolve_name(work)(frozen(values))
        said: dict[str, Any] = {"state": "finished", "value": None if value is None else float(value)}
        leave_group()
    except Exception as error:
        said = {
            "state": "failed",
            "error": sentence(error),
            "users": is_users(innermost(error)),
            "traceback": "".join(traceback.format_exception(error))[-_LONGEST:],
        }
    except SystemExit as stop:
        said = {"state": "stopped", "code": stop.code if isinstance(stop.code, int) else 1}
    except BaseException:  # of Ctrl-C and of SIGTERM
        said = {"state": "stopped", "code": None}
    return said | {"at": time.monotonic()}


if __name__ == "__main__":
    sys.exit(main())
