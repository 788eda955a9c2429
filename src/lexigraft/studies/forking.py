"""Processes forked from a server that has imported everything, by multiprocessing's "forkserver"."""

import multiprocessing
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any

# The exit code of a process when nobody is left to tell it.
SERVER_DIED = 255
# Seconds before a new attempt: a killed server that is big lets go of its connections before it is gone, and passes for
# running until then.
_PAUSES = (0.1, 0.4, 1.6, 6.4)


def start_server(*modules: str) -> None:
    """Begin to import these in a server, unless one runs already. It does not hear the terminal's Ctrl-C."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(modules))
    with _deaf_to_interrupts():
        forkserver.ensure_running()


def wait_for_server() -> None:
    """Return when the server has imported its modules. Ctrl-C ends the waiting, with nothing begun that counts."""
    process, said = start(_nothing)
    process.join()
    said.close()


def start(target: Callable[..., None], *arguments: Any) -> tuple[ForkServerProcess, Connection]:
    """Call `target(*arguments, connection)` in a new process; and the other end of the connection.

    A server that has died is replaced; `RuntimeError` where it dies time and again.
    """
    context = multiprocessing.get_context("forkserver")
    error: Exception | None = None
    for pause in (0.0, *_PAUSES):
        time.sleep(pause)
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=target, args=(*arguments, there))
        try:
            with _no_main_module():
                with _deaf_to_interrupts():
                    forkserver.ensure_running()
                process.start()
            return process, here
        except (EOFError, OSError) as failed:
            here.close()
            error = failed
        finally:
            there.close()
    raise RuntimeError(f"the fork server ends before it serves ({error!r}); what it said stands above")


def _nothing(said: Connection) -> None:
    """The work of a process that is only waited for."""


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C comes after the block rather than within, so that no process is begun that nobody knows."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda *_: came.append(1))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """What is started within ignores the terminal's Ctrl-C, even before it could say so itself."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _no_main_module() -> Iterator[None]:
    """A new process would run the launcher's script once more, of which it needs nothing."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
