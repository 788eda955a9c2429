"""The benchmarks of bench/ run, and the verdicts of bench/matrix.py are those of its table."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench"
SCRIPTS = runpy.run_path(str(BENCH / "run.py"))["BENCHES"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="bench/matrix.py reads Linux's /proc")
def test_every_table_comes_out():
    done = subprocess.run([sys.executable, BENCH / "run.py", "--small"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    of = {script: lines for script, _, lines in (each.partition("\n") for each in done.stdout.split("--- bench/")[1:])}
    assert list(of) == list(SCRIPTS)
    assert "\n--help " in of["startup.py"]
    for reader in ("lexigraft, the matrix alone", "lexigraft, read_checkpoint", "transformers, AutoModel"):
        [line] = [line for line in of["matrix.py"].splitlines() if line.startswith(reader)]
        there, used, *_ = map(float, line.removeprefix(reader).replace("x", "").split())
        assert 0 <= there <= used
    assert "too small a checkpoint" in of["matrix.py"]
    for method in ("subtoken_mean", "normal", "mean", "zero"):
        assert f" {method} " in of["transplant.py"]
    assert "\nmatching both " in of["matching.py"]
    assert "\nmean of the pieces " in of["matching.py"]
    assert "plain" in of["omp.py"]
    assert "FOCUS weights" in of["neighbours.py"]
    assert "gradients and moments" in of["active.py"]
    assert "\nlexigraft / Trainer" in of["reviews.py"]
    assert "\nlexigraft / plain loop" in of["titles.py"]
    assert "\nlexigraft / bare loop" in of["overhead.py"]
    assert "\nlexigraft / bare loop" in of["pretraining.py"]
    assert "\nratio " in of["planning.py"]
    assert "table with the index" in of["reading.py"]
    assert "1 kills of a run with 1 rank(s)" in of["faults.py"]
    assert "the same bits: weights" in of["faults.py"]
    assert "4 cells, " in of["chaos.py"]
    assert "no cell lost, none made twice, the table is the same" in of["chaos.py"]
    assert "\na loop, one by one " in of["launching.py"]
    assert "\noverhead of a job " in of["launching.py"]
    assert "\n2 processes / 1 " in of["ranks.py"]
    for side in ("at once", "by a thread"):
        assert f"\n{side} " in of["checkpoints.py"]
    for side in ("lexigraft", "lexigraft, all rows", "loop", "Trainer", "deterministic"):
        [first, *_] = [line for line in of["gpu.py"].splitlines() if line.startswith(f"{side} ")]
        assert len(first.removeprefix(side).split()) == 6  # time, texts, tokens, MFU, memory and a ratio
    assert "the embedding alone, a step: full" in of["gpu.py"]


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


def test_a_ratio_is_held_against_its_target_from_the_right_side(capsys):
    verdict = runpy.run_path(str(BENCH / "sides.py"))["verdict"]
    for ratio, target, at_most in ((0.96, 0.97, False), (0.98, 0.97, False), (1.02, 1.03, True), (1.04, 1.03, True)):
        verdict("lexigraft / loop", ratio, target, small=False, at_most=at_most)
    verdict("lexigraft / loop", 0.5, 0.97, small=True)
    said = [line.split("target ")[1] for line in capsys.readouterr().out.splitlines()]
    assert said == [
        ">= 0.97x   MISSED", ">= 0.97x   reached", "<= 1.03x   reached", "<= 1.03x   MISSED", ">= 0.97x"
    ]  # fmt: skip


def test_a_benchmark_that_fails_fails_the_whole(monkeypatch, capfd):
    run = runpy.run_path(str(BENCH / "run.py"))
    monkeypatch.setitem(run["main"].__globals__, "BENCHES", {"startup.py": ["--nonsense"]})
    monkeypatch.setattr(sys, "argv", ["run.py", "--small"])
    with pytest.raises(SystemExit) as left:
        run["main"]()
    assert left.value.code == "failed: startup.py"
