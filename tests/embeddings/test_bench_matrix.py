"""`bench/matrix.py` runs and judges, at a small size."""

import runpy
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "matrix.py"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the benchmark reads Linux's /proc")
def test_measures_of_a_small_checkpoint(tmp_path: Path) -> None:
    bench = runpy.run_path(str(BENCH))
    matrix_bytes, all_bytes = bench["write_checkpoint"](tmp_path, 0.01)
    assert 0 < matrix_bytes < all_bytes
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    for reader in ("rows", "checkpoint", "model"):
        there, used, peak = bench["measure"](reader, str(tmp_path))
        assert 0 < there <= used
        assert isinstance(peak, int)


def test_table_and_verdicts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    bench = runpy.run_path(str(BENCH))
    measured = {"rows": (0.01, 0.1, 100), "checkpoint": (0.5, 0.6, 120), "model": (0.05, 0.2, 300)}
    monkeypatch.setitem(bench["main"].__globals__, "write_checkpoint", lambda folder, gb: (100, 1000))
    monkeypatch.setitem(bench["main"].__globals__, "best", lambda reader, folder, repeats: measured[reader])
    monkeypatch.setattr(sys, "argv", ["matrix.py"])
    bench["main"]()
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "1.20x the matrix" in line and line.endswith("<= 1.3x  reached")]
    assert [line for line in lines if "5.0x as fast" in line and line.endswith("MISSED")]
