"""How much memory is free."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Free:
    """Bytes that one process of a run may still take, and where: "on the CPU", "on GPU 0". None: not known."""

    bytes: int | None
    where: str


def free(accelerator: str, processes: int = 1) -> Free:
    """What is free for each of so many processes of this machine: each has a GPU of its own, or they share the memory.

    `accelerator` is Lightning's name; "auto" is a GPU where there is one.
    """
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        device = torch.cuda.current_device()
        return Free(torch.cuda.mem_get_info(device)[0], f"on GPU {device}")
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return Free(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory(), "on the GPU")
    memory = of_machine()
    return Free(None if memory is None else memory // processes, "on the CPU")


def of_machine(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that are free without swapping, at most what the control groups (cgroups) leave; None where it is not said.

    Linux says so in files; what it may drop at any time (cached files) is free.
    """
    try:
        lines = (proc / "meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return min([*found, *_left_by_groups(proc, groups)], default=None)


def _left_by_groups(proc: Path, root: Path) -> Iterator[int]:
    """What each group that this process is in leaves; the first version of cgroups has folders of its own for memory.

    In a container the group's folder may be the root itself.
    """
    for folder in _folders(proc, root):
        for limit, used, droppable in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            most, taken = _number(folder / limit), _number(folder / used)
            if most is not None and taken is not None:
                yield max(0, most - taken + _of_table(folder / "memory.stat", droppable))


def _folders(proc: Path, root: Path) -> list[Path]:
    """The folders of the groups of this process, and of all groups that these are in."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        lines = []
    found = {root: None, root / "memory": None}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / "memory" if controllers else root
        parts = [part for part in path.split("/") if part not in ("", "..")]
        found |= {top.joinpath(*parts[:depth]): None for depth in range(1, len(parts) + 1)}
    return list(found)


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None  # "max": no limit


def _of_table(path: Path, name: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.split()[:1] == [name]), 0)
