import os
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import torch
from lightning_fabric.plugins.precision.precision import _PRECISION_INPUT_STR
from torch import nn
from torch._inductor.runtime.cache_dir_utils import default_cache_dir

from lexigraft.config.schema import Precision
from lexigraft.training import hardware
from lexigraft.training.hardware import (
    LIGHTNING,
    apply,
    bfloat16_instructions,
    chosen_precision,
    compile_in_place,
    slow_precision,
)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CUDA GPU with bfloat16 seems to be there."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("gpu")
def test_auto_is_bfloat16_on_a_gpu_alone() -> None:
    assert chosen_precision("auto", "auto") == "bf16-mixed"
    assert chosen_precision("auto", "gpu") == "bf16-mixed"
    assert chosen_precision("auto", "cpu") == "32"
    assert chosen_precision("tf32", "gpu") == "tf32"


@pytest.mark.usefixtures("no_gpu")
def test_auto_is_float32_without_a_gpu() -> None:
    assert chosen_precision("auto", "auto") == "32"
    assert chosen_precision("bf16-true", "auto") == "bf16-true"


def test_a_gpu_that_only_emulates_bfloat16_does_not_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert chosen_precision("auto", "gpu") == "32"


@pytest.fixture
def switches(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Puts torch's switches back."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    threads, filled = torch.get_num_threads(), torch.utils.deterministic.fill_uninitialized_memory
    product, convolution = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = filled
    torch.set_float32_matmul_precision(product)
    torch.backends.cudnn.allow_tf32 = convolution


@pytest.mark.usefixtures("switches")
def test_every_switch_is_set_either_way() -> None:
    for _ in range(2):  # the second time after the other settings
        apply(threads=1, precision="tf32", accelerator="gpu", deterministic=True)
        assert torch.get_num_threads() == 1
        assert torch.get_float32_matmul_precision() == "high"
        assert torch.backends.cudnn.allow_tf32
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        apply(threads=2, precision="32", accelerator="gpu", deterministic=False)
        assert torch.get_num_threads() == 2
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.usefixtures("switches")
def test_deterministic_kernels_do_not_fill_new_memory() -> None:
    apply(threads=1, precision="32", accelerator="cpu", deterministic=True)
    assert not torch.utils.deterministic.fill_uninitialized_memory


def test_every_precision_of_the_schema_has_a_name_of_lightnings() -> None:
    assert set(get_args(get_args(Precision)[0])) - {"auto"} == set(LIGHTNING)
    assert set(LIGHTNING.values()) <= set(get_args(_PRECISION_INPUT_STR))


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ("fpu avx512f avx512_bf16 fsrm", "avx512_bf16"),
        ("avx512_bf16 amx_tile amx_bf16", "amx_bf16"),
        ("fpu avx2", None),
    ],
)
def test_the_instructions_are_read_from_the_flags(tmp_path: Path, flags: str, found: str | None) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\n")
    assert bfloat16_instructions(tmp_path / "cpuinfo") == found


def test_other_systems_do_not_say(tmp_path: Path) -> None:
    assert bfloat16_instructions(tmp_path / "none") == "unknown"
    (tmp_path / "arm").write_text("Features : fp asimd bf16\n")
    assert bfloat16_instructions(tmp_path / "arm") == "unknown"


@pytest.mark.usefixtures("no_gpu")
def test_a_cpu_without_the_instructions_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "bfloat16_instructions", lambda: None)
    said = slow_precision("bf16-mixed", "cpu")
    assert said is not None
    assert said.startswith("hardware.precision=bf16-mixed: this CPU has no instructions for bfloat16")
    assert slow_precision("32", "cpu") is None
    monkeypatch.setattr(hardware, "bfloat16_instructions", lambda: "avx512_bf16")
    assert slow_precision("bf16-mixed", "cpu") is None


@pytest.mark.usefixtures("no_gpu")
def test_auto_compiles_nothing_on_a_cpu() -> None:
    model = nn.Linear(2, 2)
    assert not compile_in_place(model, "auto", "auto")
    assert not compile_in_place(model, False, "auto")
    assert model._compiled_call_impl is None


def test_compiling_keeps_names_and_sets_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LEXIGRAFT_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", default_cache_dir())  # torch itself does so where it is not set
    model = nn.Sequential(nn.Linear(2, 2))
    assert compile_in_place(model, True, "cpu")
    assert model._compiled_call_impl is not None
    assert list(model.state_dict()) == ["0.weight", "0.bias"]
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "inductor")


def test_auto_compiles_on_a_gpu_and_keeps_a_folder_that_was_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(hardware, "_on_gpu", lambda accelerator: accelerator == "gpu")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    model = nn.Linear(2, 2)
    assert compile_in_place(model, "auto", "gpu")
    assert model._compiled_call_impl is not None
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path)
