"""What the hardware can do well: the precision that "auto" means, torch's switches, and whether compiling pays."""

import os
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from lexigraft.cache import cache_folder

Compile = bool | Literal["auto"]
_INDUCTOR = "TORCHINDUCTOR_CACHE_DIR"

# Our names of precisions, and those of Lightning's trainer. tf32 is how float32 is multiplied: see `apply`.
LIGHTNING = {
    "32": "32-true",
    "tf32": "32-true",
    "bf16-mixed": "bf16-mixed",
    "bf16-true": "bf16-true",
    "16-mixed": "16-mixed",
    "fp8": "transformer-engine",
}


def apply(*, threads: int, precision: str, accelerator: str, deterministic: bool) -> None:
    """Set torch's switches for a run: CPU threads, how float32 is multiplied on a GPU, and deterministic kernels.

    Each is set either way, so that nothing is left of the run before in the same process. Call it before the first use
    of a GPU. Where an operation has no deterministic kernel, torch warns and goes on.
    """
    torch.set_num_threads(threads)
    # Without this convolutions would be in TF32 where matrix products are not: torch's defaults differ.
    tf32 = chosen_precision(precision, accelerator) == "tf32"
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = False  # it measures, and so chooses now one kernel and now another
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a search for bugs
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def chosen_precision(precision: str, accelerator: str) -> str:
    """The precision that "auto" stands for; any other is given back as it is.

    On a CUDA GPU with bfloat16 it is bf16-mixed, elsewhere 32: on a CPU the gain depends on the model and on the
    instructions at hand (`bfloat16_instructions`), so there it has to be asked for.
    """
    if precision != "auto":
        return precision
    has_bfloat16 = _on_gpu(accelerator) and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16-mixed" if has_bfloat16 else "32"


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
        "amx_bf16), so that 32 is likely to be faster"
    )


def compile_in_place(encoder: nn.Module, wanted: Compile, accelerator: str) -> bool:
    """Compile the encoder where that was asked for, "auto": on a CUDA GPU; whether it was.

    In place, so that the names of its parameters stay, with shapes left open, since batches are of every length. The
    encoder and not the classifier: a step calls the classifier's parts, never the whole. What is compiled is kept in
    the cache folder for later runs, unless TORCHINDUCTOR_CACHE_DIR names another.
    """
    if wanted is False or (wanted == "auto" and not _on_gpu(accelerator)):
        return False
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    # torch sets the variable to a folder that is lost when the machine is started again, if nobody has set it.
    if os.environ.get(_INDUCTOR, default_cache_dir()) == default_cache_dir():
        os.environ[_INDUCTOR] = str(cache_folder() / "inductor")
    encoder.compile(dynamic=True)
    return True


def _on_gpu(accelerator: str) -> bool:
    return accelerator in ("auto", "gpu") and torch.cuda.is_available()
