"""Which process of a group this is, as torchrun, srun or our own supervisor says in the environment."""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Place:
    """Where a process stands among the `ranks` of a run, of which `local_ranks` are on its node.

    `address` and `port` are where they meet.
    """

    rank: int
    ranks: int
    local_rank: int
    local_ranks: int
    node: int
    address: str
    port: int

    @classmethod
    def of(cls, env: Mapping[str, str]) -> "Place | None":
        """The place that the variables tell; None for a process on its own. `ValueError` for variables that are off."""
        found = _of_torchrun(env) or _of_slurm(env)
        if found is not None and not (0 <= found.rank < found.ranks and 0 <= found.local_rank < found.local_ranks):
            raise ValueError(
                f"the environment says rank {found.rank} of {found.ranks} and local rank {found.local_rank} of "
                f"{found.local_ranks}; ranks below their number are expected: start the run with torchrun or srun"
            )
        return found

    @property
    def nodes(self) -> int:
        """Of equally many ranks each."""
        return self.ranks // self.local_ranks

    def variables(self) -> dict[str, str]:
        """The variables by which torchrun would tell it."""
        return {
            "RANK": str(self.rank), "WORLD_SIZE": str(self.ranks), "LOCAL_RANK": str(self.local_rank),
            "LOCAL_WORLD_SIZE": str(self.local_ranks), "NODE_RANK": str(self.node), "GROUP_RANK": str(self.node),
            "MASTER_ADDR": self.address, "MASTER_PORT": str(self.port),
        }  # fmt: skip


def place(env: Mapping[str, str] | None = None) -> Place | None:
    """The place of this process in a group of two or more; None where it is on its own."""
    found = Place.of(os.environ if env is None else env)
    return found if found is not None and found.ranks > 1 else None


def in_group() -> bool:
    """Whether this process is one of several that train together."""
    return place() is not None


def rank() -> int:
    """The number of this process among those that train together; 0 where it is on its own."""
    found = place()
    return 0 if found is None else found.rank


def world_size() -> int:
    """How many processes train together; 1 where this one is on its own."""
    found = place()
    return 1 if found is None else found.ranks


def leave_group() -> None:
    """Close the connections to the other ranks, if there are any: what follows is work of one process.

    Each rank calls it after training; metrics of torchmetrics would otherwise wait for those of the other ranks.
    """
    if (group := _connections()) is not None:
        group.destroy_process_group()


def connected() -> int:
    """How many ranks have found each other, and can exchange what they know; 1 before, after, and without a group."""
    group = _connections()
    return 1 if group is None else int(group.get_world_size())


def _connections() -> Any:
    """`torch.distributed`, where this process has joined a group; None elsewhere."""
    torch = sys.modules.get("torch")  # not imported for it: without torch there is no connection
    if torch is None or not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return None
    return torch.distributed


def _of_torchrun(env: Mapping[str, str]) -> Place | None:
    if "RANK" not in env or "WORLD_SIZE" not in env:
        return None
    ranks, number = _number(env, "WORLD_SIZE"), _number(env, "RANK")
    local_ranks = _number(env, "LOCAL_WORLD_SIZE", ranks)
    return Place(
        number,
        ranks,
        _number(env, "LOCAL_RANK", number % max(1, local_ranks)),
        local_ranks,
        _number(env, "GROUP_RANK", _number(env, "NODE_RANK", 0)),
        env.get("MASTER_ADDR", "127.0.0.1"),
        _number(env, "MASTER_PORT", 29500),
    )


def _of_slurm(env: Mapping[str, str]) -> Place | None:
    """Of a task that srun started; a batch script has most of its variables too, but no step."""
    interactive = env.get("SLURM_JOB_NAME") in ("bash", "interactive")
    if "SLURM_PROCID" not in env or not env.keys() & {"SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS"} or interactive:
        return None
    ranks = _number(env, "SLURM_STEP_NUM_TASKS", _number(env, "SLURM_NTASKS", 1))
    nodes = _number(env, "SLURM_STEP_NUM_NODES", _number(env, "SLURM_NNODES", 1))
    if ranks % nodes:
        raise ValueError(
            f"SLURM started {ranks} tasks on {nodes} nodes; equally many on each are expected: use --ntasks-per-node"
        )
    hosts = env.get("SLURM_STEP_NODELIST") or env.get("SLURM_JOB_NODELIST") or env.get("SLURM_NODELIST", "127.0.0.1")
    # Of the job's number, so that jobs that share a node do not meet; as every rank works it out by itself.
    port = 15000 + int(env.get("SLURM_JOB_ID", "0")[-4:] or 0)
    return Place(
        _number(env, "SLURM_PROCID"),
        ranks,
        _number(env, "SLURM_LOCALID", 0),
        ranks // nodes,
        _number(env, "SLURM_NODEID", 0),
        env.get("MASTER_ADDR", first_host(hosts)),
        _number(env, "MASTER_PORT", port),
    )


def first_host(hosts: str) -> str:
    """The first of SLURM's list of hosts: "node[05-08,11],other" is node05."""
    found = re.match(r"([^\[,\s]+)(?:\[([^\],-]+)[^\]]*\]([^,\s]*))?", hosts.strip())
    return "".join(part or "" for part in found.groups()) if found else hosts


def _number(env: Mapping[str, str], name: str, default: int | None = None) -> int:
    value = env.get(name)
    if value is None and default is not None:
        return default
    if value is None or not value.isdigit():
        raise ValueError(f"the variable {name} is {value!r}; 0 or more is expected: correct it, or unset it")
    return int(value)
