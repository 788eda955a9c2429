"""The examples run, by Python and by config, and take a step."""

import json
import math
import subprocess
import sys
from pathlib import Path

from tests.fixtures.task import call

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_quick_takes_a_step(checkpoints):
    line = [sys.executable, EXAMPLES / "quick.py", checkpoints["bert"]]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    before, after = (float(word) for word in done.stdout.split() if word[0].isdigit())
    assert math.isfinite(before)
    assert after < before


def test_quick_as_a_config(checkpoints, tmp_path):
    words = [f"source.name={checkpoints['bert']}", f"data.root={EXAMPLES}", f"output_root={tmp_path}", "hardware=cpu"]
    assert call("train", "--config-dir", str(EXAMPLES), "--config-name", "quick", *words) == 0
    [result] = tmp_path.glob("runs/*/result.json")
    assert json.loads(result.read_text())["best"]["step"] == 1
