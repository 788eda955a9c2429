import os
from pathlib import Path

import pytest
import torch
from torch import nn

from lexigraft.training import hardware
from lexigraft.training.hardware import bfloat16_instructions, chosen_precision, compile_in_place, slow_precision


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CUDA GPU with bfloat16 seems to be there."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("gpu")
def test_auto_is_bfloat16_on_a_gpu_alone() -> None:
    assert chosen_precision("auto", "auto") == "bf16-mixed"
    assert chosen_precision("auto", "gpu") == "bf16-mixed"
    assert chosen_precision("auto", "cpu") == "32-true"
    assert chosen_precision("64-true", "gpu") == "64-true"


@pytest.mark.usefixtures("no_gpu")
def test_auto_is_float32_without_a_gpu() -> None:
    assert chosen_precision("auto", "auto") == "32-true"
    assert chosen_precision("bf16-true", "auto") == "bf16-true"


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
    assert slow_precision("32-true", "cpu") is None
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
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
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
