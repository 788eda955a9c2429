"""What is said of hardware that is not here; torch's answers about the machine are stood in for, nothing else."""

import shutil
import subprocess
import sys

import pytest
import torch

from lexigraft.config import hardware as module
from lexigraft.config.hardware import hardware_problems, with_counts
from tests.config.test_schema import HARDWARE

GPU = {"accelerator": "gpu", "precision": "32"}
TORCHRUN = {"RANK": "1", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
SRUN = {
    "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_PROCID": "0", "SLURM_NTASKS": "6", "SLURM_NNODES": "2",
    "SLURM_JOB_NUM_NODES": "2", "SLURM_NODEID": "0", "SLURM_LOCALID": "0",
}  # fmt: skip
BATCH_SCRIPT = {"SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "2", "SLURM_PROCID": "0", "SLURM_NTASKS": "8"}


@pytest.fixture
def machine(monkeypatch):
    """Makes torch answer as on a machine with these GPUs."""

    def make(gpus=0, capability=(9, 0), bf16=True, mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "Model X")
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bf16)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch.accelerator, "is_available", lambda: gpus > 0 or mps)

    return make


def problems(environ=None, batch=64, tokens=None, **changes):
    trainer = {"batch_size": batch, "batch_tokens": tokens}
    return hardware_problems({"hardware": HARDWARE | changes, "trainer": trainer}, environ or {})


def problem(environ=None, **changes):
    [told] = problems(environ, **changes)
    return told


def counts(environ=None, **changes):
    found = with_counts({"hardware": HARDWARE | changes}, environ or {})["hardware"]
    return found["devices"], found["nodes"]


def test_a_cpu_is_not_asked_about_and_torch_not_imported():
    code = (
        "import sys; from lexigraft.config.hardware import hardware_problems, with_counts;"
        f"values = {{'hardware': {HARDWARE | {'accelerator': 'cpu', 'devices': 2}!r}}};"
        "assert hardware_problems(values, {}) == [] and with_counts(values, {}) == values;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_configs_without_hardware_ask_for_nothing():
    assert hardware_problems({"output": "x"}) == []
    assert with_counts({"output": "x"}) == {"output": "x"}


@pytest.mark.parametrize(
    ("here", "says"),
    [
        (0, "there are 0 GPUs here; use hardware=auto, or hardware=cpu"),
        (1, "there is 1 GPU here; use hardware=auto, or hardware.devices=1"),
        (2, None),
    ],
)  # fmt: skip
def test_gpus_that_are_not_here(machine, here, says):
    machine(here)
    asked = "hardware.accelerator=gpu with hardware.devices=2"
    assert problems(**GPU, devices=2) == ([f"{asked}: {says}"] if says else [])


def test_auto_takes_one_gpu_or_any_number_of_processes_on_a_cpu(machine):
    machine(0)
    assert problems(devices=2) == []
    machine(1)
    assert problem(devices=2).endswith("there is 1 GPU here; use hardware=auto, or hardware.devices=1")


@pytest.mark.parametrize(
    ("mps", "devices", "says"),
    [
        (False, 1, "this machine has no GPU of Apple that torch can use; use hardware=auto or hardware=cpu"),
        (True, 2, "an Apple computer has one such GPU; use hardware.devices=1"),
        (True, 1, None),
    ],
)
def test_the_gpu_of_an_apple_computer(machine, mps, devices, says):
    machine(gpus=2 * (not mps), mps=mps)
    found = problems(accelerator="mps", devices=devices)
    assert found == ([f"hardware.accelerator=mps with hardware.devices={devices}: {says}"] if says else [])


@pytest.mark.parametrize(
    ("precision", "gpu", "says"),
    [
        ("bf16-mixed", {"bf16": True}, None),
        ("bf16-mixed", {"bf16": False}, "needs a GPU with bfloat16, and the Model X here has none: use 16-mixed or 32"),
        ("bf16-true", {"bf16": False}, "needs a GPU with bfloat16, and the Model X here has none: use 16-mixed or 32"),
        ("16-mixed", {"bf16": False}, None),
        ("tf32", {"capability": (8, 0)}, None),
        ("tf32", {"capability": (7, 5)}, "of compute capability 8.0 or more, and the Model X here has 7.5: use 32"),
        ("fp8", {"capability": (8, 6)}, "capability 8.9 or more, and the Model X here has 8.6: use bf16-mixed or 32"),
    ],
)
def test_a_precision_that_a_gpu_does_not_have(machine, precision, gpu, says):
    machine(1, **gpu)
    found = problems(accelerator="gpu", precision=precision)
    if says is None:
        assert found == []
    else:
        [told] = found
        assert told.startswith(f"hardware.precision={precision} needs")
        assert told.endswith(says)


def test_fp8_needs_its_package_too(machine, monkeypatch):
    machine(1, capability=(8, 9))
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert problem(**GPU | {"precision": "fp8"}).endswith(
        "is not installed: pip install 'transformer-engine[pytorch]', or use bf16-mixed"
    )
    monkeypatch.setattr(module, "find_spec", lambda name: name == "transformer_engine" or None)
    assert problems(**GPU | {"precision": "fp8"}) == []


@pytest.mark.parametrize("accelerator", ["auto", "cpu"])
def test_precisions_of_gpus_where_there_is_none(machine, accelerator):
    machine(0)
    assert problem(accelerator=accelerator, precision="tf32").endswith("8.0 or more, and there is none here: use 32")
    assert problem(accelerator=accelerator, precision="fp8").endswith("and there is none here: use bf16-mixed or 32")
    assert "fp16 is slow and gives NaN): use bf16-mixed or 32" in problem(accelerator="auto", precision="16-mixed")
    assert problems(accelerator=accelerator, precision="bf16-mixed") == []


def test_compiling_for_a_cpu_needs_a_compiler(machine, monkeypatch):
    machine(0)
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "on a CPU, and no-such-compiler is not here" in problem(accelerator="cpu", compile=True)
    assert "on a CPU, and no-such-compiler is not here" in problem(accelerator="auto", compile=True)
    assert problems(accelerator="cpu", compile="auto") == []
    monkeypatch.setenv("CXX", shutil.which("sh"))
    assert problems(accelerator="cpu", compile=True) == []
    machine(1)
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert problems(accelerator="auto", compile=True) == []


def test_several_machines_need_something_that_starts_processes():
    for nodes in (2, "auto"):
        told = problem(accelerator="cpu", nodes=nodes)
        assert told.startswith(f"hardware.nodes={nodes} was asked for, but this process was started alone")
        assert "'torchrun --nnodes=2 --nproc-per-node=8 --rdzv-backend=c10d --rdzv-endpoint=<the first" in told
    by_hand = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", "NODE_RANK": "1"}
    assert problems(by_hand, accelerator="cpu", nodes=2) == []
    assert "torchrun" in problem(by_hand, accelerator="cpu", nodes="auto")


def test_as_many_processes_as_torchrun_has_started(machine):
    machine(4)
    assert counts(TORCHRUN, **GPU, devices="auto", nodes="auto") == (4, 2)
    assert problems(TORCHRUN, **GPU, devices="auto", nodes="auto") == []
    assert problem(TORCHRUN, accelerator="cpu") == (
        "hardware.devices=1 with hardware.nodes=1 asks for 1 process, but torchrun has started 8, 4 on each machine: "
        "use hardware=multi_node, which takes as many as there are, or start it without torchrun"
    )


def test_srun_may_show_each_process_one_gpu_alone(machine):
    machine(1)
    slurm = {**GPU, "devices": "auto", "nodes": "auto", "requeue": True}
    assert counts(SRUN, **slurm) == (3, 2)
    assert problems(SRUN, **slurm, batch=66) == []
    told = problem(SRUN, **slurm | {"devices": 2, "nodes": 1})
    assert "but srun has started 6, 3 on each machine: use hardware=slurm" in told
    machine(0)
    assert "there are 0 GPUs here" in problem(SRUN, **slurm, batch=66)


def test_a_job_of_slurm_needs_slurm_and_on_several_machines_srun(machine):
    machine(2)
    slurm = {**GPU, "devices": "auto", "nodes": "auto", "requeue": True}
    assert "sbatch a script with the lines '#SBATCH --nodes=2" in problem(**slurm)
    assert problem(BATCH_SCRIPT, **slurm).endswith(
        "put srun before the line, as in 'srun lexigraft train hardware=slurm ...'"
    )
    one = BATCH_SCRIPT | {"SLURM_JOB_NUM_NODES": "1"}
    assert problems(one, **slurm) == []
    assert counts(one, **slurm) == (2, 1)


def test_auto_is_every_gpu_or_one_process_on_a_cpu(machine):
    machine(4)
    assert counts(**GPU, devices="auto") == (4, 1)
    assert counts(accelerator="cpu", devices="auto", nodes="auto") == (1, 1)
    machine(0)
    assert counts(devices="auto") == (1, 1)
    assert counts(devices=3) == (3, 1)
