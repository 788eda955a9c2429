"""The most memory that training took."""

import sys
from pathlib import Path

import torch


def peak_memory(device: torch.device, status: Path = Path("/proc/self/status")) -> int | None:
    """Bytes: of a CUDA device those that tensors took at most, elsewhere the process' peak resident set.

    None where neither is known (Windows). On Linux the resident set is that of this program alone; what
    `getrusage` tells would begin with the process that started it.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        lines = status.read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return _maximum_resident()


def _maximum_resident() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else 1024 * size
