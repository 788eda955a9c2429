"""What a config asks of the machine, held against what is here: one sentence each, before data or a model is touched.

torch is imported only where a GPU, or a precision that needs one, is asked for.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec

from lexigraft.config.schema import Node
from lexigraft.process_group import Place

# What an NVIDIA GPU must be at least, by its compute capability, to have a precision in hardware.
AMPERE, ADA = (8, 0), (8, 9)


def hardware_problems(values: Node, environ: Mapping[str, str] = os.environ) -> list[str]:
    """A sentence for each thing that the config's `hardware` asks for and that is not here, and what would work."""
    if not values.get("hardware"):
        return []
    place = Place.of(environ)
    if told := _not_started(values["hardware"], place, environ):
        return [told]
    hardware = with_counts(values, environ)["hardware"]
    problems = [_other_processes(hardware, place, environ), _too_few(hardware, place, environ)]
    if not any(problems):
        problems = [_precision(hardware), _compiler(hardware)]
    return [told for told in problems if told]


def with_counts(values: Node, environ: Mapping[str, str] = os.environ) -> Node:
    """`values` with `hardware.devices=auto` and `hardware.nodes=auto` as numbers.

    They are what torchrun or srun has started; else every GPU that is here, or 1 on a CPU, and the machines of the
    SLURM job, or 1.
    """
    hardware = values.get("hardware")
    if not hardware or "auto" not in (hardware["devices"], hardware["nodes"]):
        return values
    place, found = Place.of(environ), dict(hardware)
    if found["nodes"] == "auto":
        found["nodes"] = place.nodes if place else _nodes_of_job(environ)
    if found["devices"] == "auto":
        found["devices"] = place.local_ranks if place else max(1, _gpus(found["accelerator"]))
    return {**values, "hardware": found}


def _not_started(hardware: Node, place: Place | None, environ: Mapping[str, str]) -> str | None:
    """Several machines, or a job that SLURM queues again, where nothing has started processes for that."""
    nodes, job = hardware["nodes"], "SLURM_JOB_ID" in environ
    if hardware["requeue"] and not job:
        return (
            "hardware.requeue=true (hardware=slurm) is for a job of SLURM, and this is none: sbatch a script with the "
            "lines '#SBATCH --nodes=2 --ntasks-per-node=4 --gpus-per-node=4 --requeue --signal=SIGUSR1@120' and "
            "'srun lexigraft train hardware=slurm ...', or use hardware=ddp"
        )
    if place is not None or nodes == 1 or (nodes == "auto" and job and _nodes_of_job(environ) == 1):
        return None
    if nodes != "auto" and environ.keys() >= {"MASTER_ADDR", "MASTER_PORT", "NODE_RANK"}:
        return None
    if job:
        return (
            f"hardware.nodes={nodes} was asked for and SLURM gave this job {_nodes_of_job(environ)}, but this process "
            "was started alone: put srun before the line, as in 'srun lexigraft train hardware=slurm ...'"
        )
    return (
        f"hardware.nodes={nodes} was asked for, but this process was started alone: start it on each machine by "
        f"'torchrun --nnodes={2 if nodes == 'auto' else nodes} --nproc-per-node=8 --rdzv-backend=c10d "
        "--rdzv-endpoint=<the first machine>:29500 -m lexigraft train hardware=multi_node ...', or use hardware=ddp"
    )


def _other_processes(hardware: Node, place: Place | None, environ: Mapping[str, str]) -> str | None:
    """Another number of processes than were started."""
    devices, nodes = hardware["devices"], hardware["nodes"]
    if place is None or (place.local_ranks, place.nodes) == (devices, nodes):
        return None
    by, fitting = ("srun", "hardware=slurm") if _by_srun(environ) else ("torchrun", "hardware=multi_node")
    return (
        f"hardware.devices={devices} with hardware.nodes={nodes} asks for {_processes(devices * nodes)}, but {by} has "
        f"started {place.ranks}, {place.local_ranks} on each machine: use {fitting}, which takes as many as there are, "
        f"or start it without {by}"
    )


def _too_few(hardware: Node, place: Place | None, environ: Mapping[str, str]) -> str | None:
    """GPUs that are not here; srun may show each process its own alone."""
    accelerator, devices = hardware["accelerator"], hardware["devices"]
    if accelerator == "cpu" or (accelerator == "auto" and devices == 1):
        return None
    here = _gpus(accelerator)
    if accelerator == "auto" and here == 0:
        return None  # processes on the CPU
    needed = 1 if place and _by_srun(environ) else devices
    if needed <= here:
        return None
    asked = f"hardware.accelerator={accelerator} with hardware.devices={devices}"
    if accelerator == "mps":
        if here:
            return f"{asked}: an Apple computer has one such GPU; use hardware.devices=1"
        return f"{asked}: this machine has no GPU of Apple that torch can use; use hardware=auto or hardware=cpu"
    there = "is 1 GPU" if here == 1 else f"are {here} GPUs"
    instead = f"hardware.devices={here}" if here else "hardware=cpu"
    return f"{asked}: there {there} here; use hardware=auto, or {instead}"


def _precision(hardware: Node) -> str | None:
    """A precision that the device does not have."""
    precision, accelerator = hardware["precision"], hardware["accelerator"]
    if precision in ("auto", "32") or (accelerator == "cpu" and precision.startswith("bf16")):
        return None
    import torch

    asked = f"hardware.precision={precision}"
    if precision == "16-mixed":
        if accelerator != "cpu" and torch.accelerator.is_available():
            return None
        return (
            f"{asked} needs a GPU, and there is none here (on a CPU fp16 is slow and gives NaN): use bf16-mixed or 32"
        )
    cuda = accelerator in ("auto", "gpu") and torch.cuda.is_available()
    gpu = torch.cuda.get_device_name(0) if cuda else ""
    if precision.startswith("bf16"):
        if not cuda or torch.cuda.is_bf16_supported(including_emulation=False):
            return None
        return f"{asked} needs a GPU with bfloat16, and the {gpu} here has none: use 16-mixed or 32"
    needed = AMPERE if precision == "tf32" else ADA
    capability = torch.cuda.get_device_capability(0) if cuda else (0, 0)
    if capability < needed:
        here = f"the {gpu} here has {_dotted(capability)}" if cuda else "there is none here"
        instead = "32" if precision == "tf32" else "bf16-mixed or 32"
        return f"{asked} needs an NVIDIA GPU of compute capability {_dotted(needed)} or more, and {here}: use {instead}"
    if precision == "fp8" and find_spec("transformer_engine") is None:
        return (
            f"{asked} needs the package transformer-engine, which is not installed: pip install "
            "'transformer-engine[pytorch]', or use bf16-mixed"
        )
    return None


def _compiler(hardware: Node) -> str | None:
    """Compiling for a CPU, which torch does by the C++ compiler that CXX names, or the system's."""
    if hardware["compile"] is not True or (hardware["accelerator"] != "cpu" and _gpus(hardware["accelerator"])):
        return None
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler):
        return None
    return (
        f"hardware.compile=true needs a C++ compiler on a CPU, and {compiler} is not here: install it, name another "
        "by the variable CXX, or use hardware.compile=false"
    )


def _gpus(accelerator: str) -> int:
    """How many GPUs of that kind are here; torch is not asked for a CPU's."""
    if accelerator == "cpu":
        return 0
    import torch

    if accelerator != "mps" and torch.cuda.device_count():
        return torch.cuda.device_count()
    return int(torch.backends.mps.is_available())


def _by_srun(environ: Mapping[str, str]) -> bool:
    return "RANK" not in environ


def _nodes_of_job(environ: Mapping[str, str]) -> int:
    return int(environ.get("SLURM_JOB_NUM_NODES") or environ.get("SLURM_NNODES") or 1)


def _dotted(capability: tuple[int, ...]) -> str:
    return ".".join(map(str, capability))


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"
