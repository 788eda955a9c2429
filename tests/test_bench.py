"""The benchmarks of bench/ run, and the verdicts of bench/matrix.py are those of its table."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="bench/matrix.py reads Linux's /proc")
def test_every_table_comes_out():
    done = subprocess.run([sys.executable, BENCH / "run.py", "--small"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    outputs = done.stdout.split("--- bench/")
    _, startup, matrix, matching, transplant, pursuit, neighbours, active, reviews, titles, *later = outputs
    of = {output.partition("\n")[0]: output for output in later}
    assert "\n--help " in startup
    for reader in ("lexigraft, the matrix alone", "lexigraft, read_checkpoint", "transformers, AutoModel"):
        [line] = [line for line in matrix.splitlines() if line.startswith(reader)]
        there, used, *_ = map(float, line.removeprefix(reader).replace("x", "").split())
        assert 0 <= there <= used
    assert "too small a checkpoint" in matrix
    for method in ("subtoken_mean", "normal", "mean", "zero"):
        assert f" {method} " in transplant
    assert "\nmatching both " in matching
    assert "\nmean of the pieces " in matching
    assert "plain" in pursuit
    assert "sparsemax" in neighbours or "FOCUS" in neighbours
    assert "active" in active
    assert "\nlexigraft / Trainer" in reviews
    assert "\nlexigraft / plain loop" in titles
    assert "\nratio " in of["planning.py"]
    assert "the same bits: weights" in of["faults.py"]
    assert "table with the index" in of["reading.py"]
    assert "launching.py" in of


def test_verdicts_compare_used_with_used(capsys):
    found = {"rows": (0.001, 0.05, 100), "checkpoint": (0.9, 1.0, 135), "model": (0.2, 0.45, 300)}
    report = runpy.run_path(str(BENCH / "matrix.py"))["report"]
    report(found, 100, 4_000_000_000)
    alone, whole, memory = capsys.readouterr().out.splitlines()[-3:]
    assert alone.split("used")[1].split()[0] == "9.00x"
    assert alone.endswith("target >= 10x    MISSED")
    assert whole.split("used")[1].split()[0] == "0.45x"
    assert memory.split("memory")[1].split()[0] == "1.35x"
    assert memory.endswith("MISSED")
    report(found | {"rows": (0.001, 0.045, 100), "checkpoint": (0.9, 1.0, 130)}, 100, 4_000_000_000)
    alone, _, memory = capsys.readouterr().out.splitlines()[-3:]
    assert alone.endswith("reached")
    assert memory.endswith("reached")


def test_a_benchmark_that_fails_fails_the_whole(monkeypatch, capfd):
    run = runpy.run_path(str(BENCH / "run.py"))
    monkeypatch.setitem(run["main"].__globals__, "BENCHES", {"startup.py": ["--nonsense"]})
    monkeypatch.setattr(sys, "argv", ["run.py", "--small"])
    with pytest.raises(SystemExit) as left:
        run["main"]()
    assert left.value.code == "failed: startup.py"
