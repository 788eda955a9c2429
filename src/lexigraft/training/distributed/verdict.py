"""What became of a group of ranks: the value of the first, or the error of the one that ended all."""

import re
import signal
from collections.abc import Sequence

from lexigraft.training.distributed.spawning import RankProcess


class RankFailed(RuntimeError):
    """A rank ended before its work was done; the cause holds its traceback, or what it printed last."""


class Told(Exception):
    """What another process said of its end."""

    def __str__(self) -> str:
        return "\n" + str(self.args[0]).rstrip()


def value_of(group: Sequence[RankProcess], lost: Sequence[RankProcess], came: Sequence[int]) -> float | None:
    """What the first rank returned. `lost` are the ranks that ended early by themselves, `came` the signals passed on.

    `ValueError` with a sentence of a rank that was meant for users, else `RankFailed`; `KeyboardInterrupt` or
    `SystemExit` of ranks that were stopped.
    """
    if not lost:
        value: float | None = group[0].said["value"]
        return value
    if _stopped(group, lost, came):
        code = next((each.said["code"] for each in lost if each.said.get("code") is not None), None)
        raise KeyboardInterrupt if code is None else SystemExit(code)
    guilty = min(lost, key=lambda each: (_of_another(each), each.ended_at))
    name = f"rank {guilty.place.rank} of {guilty.place.ranks}"
    told = guilty.said.get("traceback") or guilty.last_lines()
    cause = Told(f"{name}:\n{told}") if told else None
    if guilty.said.get("users"):
        raise ValueError(guilty.said["error"]) from cause
    raise RankFailed(f"{name} {_manner(guilty)}") from cause


def _stopped(group: Sequence[RankProcess], lost: Sequence[RankProcess], came: Sequence[int]) -> bool:
    """Whether ranks were stopped, rather than one of them failed."""
    if any(number != signal.SIGUSR1 for number in came):
        return not any(each.said.get("users") for each in lost)
    if came or len(lost) == len(group):
        return all(each.said.get("state") == "stopped" or each.code == -signal.SIGUSR1 for each in lost)
    return False


def _of_another(each: RankProcess) -> bool:
    """Whether its error says no more than that another rank is gone."""
    return not each.said.get("users") and bool(_GONE.search(each.said.get("error", "")))


_GONE = re.compile(r"closed by peer|reset by peer|broken pipe|gloo|nccl|process ?group|TCPStore|DistStoreError", re.I)


def _manner(each: RankProcess) -> str:
    said, code = each.said, each.code
    if said.get("state") == "failed":
        return f"failed: {said['error']}"
    if said.get("state") == "stopped":
        return "was stopped" if said["code"] is None else f"left with exit code {said['code']}"
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        memory = "; the system does so when memory runs out" if -code == signal.SIGKILL else ""
        return f"was killed by {name}{memory}"
    return f"ended with exit code {code} before its work was done"
