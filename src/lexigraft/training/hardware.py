"""What the hardware can do well: the precision that "auto" means, and whether compiling pays."""

import os
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from lexigraft.cache import cache_folder

Compile = bool | Literal["auto"]


def chosen_precision(precision: str, accelerator: str) -> str:
    """The precision that "auto" stands for; any other is given back as it is.

    On a CUDA GPU with bfloat16 it is bf16-mixed, elsewhere 32-true: on a CPU the gain depends on the model and on the
    instructions at hand (`bfloat16_instructions`), so there it has to be asked for.
    """
    if precision != "auto":
        return precision
    return "bf16-mixed" if _on_gpu(accelerator) and torch.cuda.is_bf16_supported() else "32-true"


def bfloat16_instructions(cpuinfo: Path = Path("/proc/cpuinfo")) -> str | None:
    """The CPU's instructions for products of bfloat16 ("amx_bf16", "avx512_bf16"); None if it has none.

    Linux on x86 says so in a file; elsewhere "unknown".
    """
    try:
        text = cpuinfo.read_text()
    except OSError:
        return "unknown"
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), None)
    if flags is None:
        return "unknown"
    return next((name for name in ("amx_bf16", "avx512_bf16") if name in flags), None)


def slow_precision(precision: str, accelerator: str) -> str | None:
    """A sentence for a precision that this CPU has no instructions for; None where there is nothing to say."""
    if not precision.startswith("bf16") or _on_gpu(accelerator) or bfloat16_instructions() is not None:
        return None
    return (
        f"hardware.precision={precision}: this CPU has no instructions for bfloat16 (neither avx512_bf16 nor "
        "amx_bf16), so that 32-true is likely to be faster"
    )


def compile_in_place(encoder: nn.Module, wanted: Compile, accelerator: str) -> bool:
    """Compile the encoder where that was asked for, "auto": on a CUDA GPU; whether it was.

    In place, so that the names of its parameters stay, with shapes left open, since batches are of every length. The
    encoder and not the classifier: a step calls the classifier's parts, never the whole. What is compiled is kept in
    the cache folder for later runs, unless TORCHINDUCTOR_CACHE_DIR names another.
    """
    if wanted is False or (wanted == "auto" and not _on_gpu(accelerator)):
        return False
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "inductor"))
    encoder.compile(dynamic=True)
    return True


def _on_gpu(accelerator: str) -> bool:
    return accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
