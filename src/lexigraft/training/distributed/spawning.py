"""The processes of a run's ranks, as their supervisor sees them."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe
from typing import IO, Any

from lexigraft.process_group import Place
from lexigraft.processes import last_lines, variables


@dataclass
class RankProcess:
    """A rank's process; `said` is how it ended by its own account, once it has told."""

    place: Place
    process: subprocess.Popen[bytes]
    answer: Connection
    output: IO[bytes] | None
    said: dict[str, Any] = field(default_factory=dict)
    ended_at: float = float("inf")

    def listen(self) -> None:
        """Take in what the rank has told, and whether it is gone."""
        gone = not self.running  # asked before: what it says last is there when it is gone
        with suppress(EOFError, OSError):
            if not self.said and self.answer.poll():
                self.said = json.loads(self.answer.recv_bytes())
        if self.said or gone:
            self.ended_at = min(self.ended_at, self.said.get("at", time.monotonic()))

    @property
    def code(self) -> int | None:
        """The exit code, None while it runs; -n of one that the signal n has ended."""
        return self.process.poll()

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self.code is None

    @property
    def over(self) -> bool:
        """Whether it has ended, as far as `listen` has heard."""
        return self.ended_at < float("inf")

    @property
    def ended_early(self) -> bool:
        """Whether it has ended, and not because its work was done."""
        return self.over and self.said.get("state") != "finished"

    def signal(self, number: int) -> None:
        """Send a signal to the rank; its loaders' processes end with it."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    def close(self) -> None:
        """Kill what is left of it."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.signal(signal.SIGKILL)  # perhaps it has no session of its own yet
        self.process.wait()
        self.answer.close()
        if self.output is not None:
            self.output.close()

    def last_lines(self) -> str:
        """What it printed last; of rank 0 nothing, since that stands on the terminal already."""
        return "" if self.output is None else "\n".join(last_lines(self.output))


def start(place: Place, work: str, values: Mapping[str, Any], env: Mapping[str, str]) -> RankProcess:
    """Begin a rank in a session of its own, which the terminal's Ctrl-C does not reach.

    The first rank of a node prints where this process does; what others print is kept for the case that they fail.
    """
    here, there = Pipe(duplex=False)
    output = None if place.local_rank == 0 else tempfile.TemporaryFile()  # noqa: SIM115  # closed with the rank
    with there, tempfile.TemporaryFile() as order:  # no pipe, which the rank would have to empty first
        order.write(json.dumps({"work": work, "values": values}).encode())
        order.seek(0)
        sys.stdout.flush()
        process = subprocess.Popen(
            [sys.executable, "-m", "lexigraft.training.distributed.rank", str(there.fileno()), str(os.getpid())],
            stdin=order,
            stdout=output,
            stderr=output,
            env=_environment(place, values, env),
            pass_fds=[there.fileno()],
            start_new_session=True,
        )
    return RankProcess(place, process, here, output)


def _environment(place: Place, values: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, str]:
    """Those of the supervisor, with a rank's own."""
    own = place.variables() | {
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # rank 0 is not to open a second store: the supervisor has one
        # This process may have been started with other paths than a new one would find.
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
    }
    threads = (values.get("hardware") or {}).get("threads")
    if threads is not None:
        own["OMP_NUM_THREADS"] = str(threads)
    if place.nodes == 1 and sys.platform == "linux":
        own["GLOO_SOCKET_IFNAME"] = env.get("GLOO_SOCKET_IFNAME", "lo")  # a host's own name may have no address
    return variables(env, own)
