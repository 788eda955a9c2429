from pathlib import Path

import numpy as np
import torch

from lexigraft.training.observing.peak import peak_memory


def test_the_peak_stays_when_memory_is_given_back() -> None:
    before = peak_memory(torch.device("cpu"))
    assert before is not None
    assert before > 2**20
    np.ones(2**25)  # 256 MiB
    after = peak_memory(torch.device("cpu"))
    assert after is not None
    assert after >= 2**28


def test_bytes_of_linux(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("Name:\tpython\nVmHWM:\t    2048 kB\n")
    assert peak_memory(torch.device("cpu"), tmp_path / "status") == 2**21


def test_elsewhere_the_system_tells(tmp_path: Path) -> None:
    told = peak_memory(torch.device("cpu"), tmp_path / "none")
    assert told is None or told > 2**20
