"""What a process that works for another one needs: its variables, its end, and what it says of an error."""

import ctypes
import os
import signal
import sys
from collections.abc import Mapping
from typing import IO

from lexigraft.config.errors import innermost, is_users

# What one process of a distributed run tells the others; a job inherits nothing of it.
DISTRIBUTED = (
    "LOCAL_RANK", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "NODE_RANK", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT",
    "PL_GLOBAL_SEED", "TORCHELASTIC_RUN_ID",
)  # fmt: skip
_LINES = 15  # of what a process printed before it was killed
_PR_SET_PDEATHSIG = 1  # of Linux's prctl
_LONGEST = 2000  # characters of a sentence; an answer has to fit into a pipe that nobody reads yet


def variables(env: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """The launcher's variables without those of a distributed run, and `own` on top."""
    return {name: value for name, value in env.items() if name not in DISTRIBUTED} | dict(own)


def die_with_parent() -> None:
    """Linux kills this process when its parent dies, however that comes about."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def last_lines(printed: IO[bytes]) -> list[str]:
    """The end of what a process has printed into a file."""
    size = printed.seek(0, os.SEEK_END)
    printed.seek(max(0, size - 64_000))
    return printed.read().decode(errors="replace").splitlines()[-_LINES:]


def sentence(error: BaseException) -> str:
    """An error in a sentence: its own where it is meant for users, else with its type."""
    cause = innermost(error)
    told = str(cause) if is_users(cause) and str(cause) else f"{type(cause).__name__}: {cause}"
    return told[:_LONGEST]
