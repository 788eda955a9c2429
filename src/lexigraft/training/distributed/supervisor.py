"""One job, one group of processes: starts the ranks of a run, watches them, and ends all when one dies."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from lexigraft.process_group import Place
from lexigraft.training.distributed.spawning import RankProcess, start
from lexigraft.training.distributed.verdict import value_of

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
GRACE = 3.0  # seconds in which ranks that have lost another one may end by themselves
GRACE_OF_STOP = 30.0  # seconds in which ranks that are told to stop may write down how far they came
_SETTLE = 0.5  # seconds until ranks that end for the same reason have all told
_PAUSE = 0.05


def supervise(
    values: Mapping[str, Any], ranks: int, env: Mapping[str, str] | None = None, *, work: str
) -> float | None:
    """Train by a resolved config in `ranks` processes of this machine; what the first of them returned.

    Each calls `work`, "package.module:function", with the config.
    With `hardware.nodes` above 1 in `values` this is one node of several: MASTER_ADDR, MASTER_PORT and NODE_RANK say
    which. The first rank of the node prints here. A rank that dies ends the others within seconds: `ValueError` with
    its sentence if that was meant for users, else `RankFailed`. SIGINT, SIGTERM and SIGUSR1 are passed on to every
    rank; of ranks that they stopped, `KeyboardInterrupt`, or `SystemExit` with the exit code that the first one asked
    for. A second Ctrl-C kills them.
    """
    env = os.environ if env is None else env
    nodes = (values.get("hardware") or {}).get("nodes") or 1
    with ExitStack() as stack:
        came = stack.enter_context(_signals())
        group: list[RankProcess] = []
        for place in stack.enter_context(_meeting(ranks, nodes, env)):
            group.append(start(place, work, values, env))
            stack.callback(group[-1].close)
        lost = _watch(group, came)
        return value_of(group, lost, came)


def _watch(group: Sequence[RankProcess], came: Sequence[int]) -> list[RankProcess]:
    """Until all processes are gone; the ranks that ended before their work was done, and not because of us."""
    lost: list[RankProcess] = []
    passed, deadline = 0, float("inf")
    while any(each.running for each in group):
        for number in came[passed:]:
            again = number == signal.SIGINT and signal.SIGINT in came[:passed]
            _tell(group, signal.SIGKILL if again else number)
            passed += 1
            if number != signal.SIGUSR1:  # which may mean no more than: write a checkpoint
                deadline = min(deadline, time.monotonic() + GRACE_OF_STOP)
        time.sleep(_PAUSE)
        for each in group:
            each.listen()
        if not lost and any(each.ended_early for each in group):
            lost = _settled(group)
            if came:
                deadline = min(deadline, time.monotonic() + GRACE_OF_STOP)
            else:
                _tell([each for each in group if not each.over], signal.SIGTERM)
        if lost and (not came or group[0].over):
            deadline = min(deadline, time.monotonic() + GRACE)
        elif group[0].over:  # its work is the longest
            deadline = min(deadline, time.monotonic() + GRACE_OF_STOP)
        if time.monotonic() > deadline:
            _tell(group, signal.SIGKILL)
            if not lost and not came:
                return []  # the first rank has done its work, and the others did not find their end
    for each in group:
        each.listen()
    return lost or [each for each in group if each.ended_early]


def _settled(group: Sequence[RankProcess]) -> list[RankProcess]:
    """The ranks that ended early, when all have told that ended for one reason."""
    until = time.monotonic() + _SETTLE
    while time.monotonic() < until:
        time.sleep(_PAUSE)
        for each in group:
            each.listen()
    return [each for each in group if each.ended_early]


def _tell(group: Sequence[RankProcess], number: int) -> None:
    for each in group:
        each.signal(number)


@contextmanager
def _meeting(ranks: int, nodes: int, env: Mapping[str, str]) -> Iterator[list[Place]]:
    """The places of this node's ranks, and for as long as they train the store by which they find each other.

    The store is opened here and not by rank 0, so that the system chooses a port that is free, and keeps it.
    """
    from torch.distributed import TCPStore

    if nodes == 1:
        node, address, port = 0, "127.0.0.1", 0
    else:
        node, address, port = _node(nodes, env)
    store = None
    if node == 0:
        try:
            store = TCPStore(address, port, is_master=True, wait_for_workers=False)
        except RuntimeError as error:
            raise ValueError(
                f"the ranks cannot meet at {address}:{port} ({str(error).splitlines()[0]}): MASTER_ADDR and "
                "MASTER_PORT should be an address of this machine, which is node 0, and a port that is free"
            ) from error
        port = store.port
    first, total = node * ranks, nodes * ranks
    yield [Place(first + i, total, i, ranks, node, address, port) for i in range(ranks)]
    del store


def _node(nodes: int, env: Mapping[str, str]) -> tuple[int, str, int]:
    """Which node this is, and where all of them meet."""
    wanted = ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
    found = [env.get(name, "") for name in wanted]
    node, address, port = found
    if not (node.isdigit() and int(node) < nodes and address and port.isdigit()):
        given = ", ".join(f"{name}={value or 'unset'}" for name, value in zip(wanted, found))
        raise ValueError(
            f"hardware.nodes={nodes} with {given}: set NODE_RANK to 0 up to {nodes - 1}, and on every node MASTER_ADDR "
            "and MASTER_PORT to an address of node 0 and a port that is free there; or start the run with torchrun"
        )
    return int(node), address, int(port)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The signals that come within the block, as they come, which then have no other effect."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = {number: signal.signal(number, lambda got, _: came.append(got)) for number in PASSED_ON}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
