"""What the jobs of real pools do in the tests of searches: a value made of the config, and epochs that are reported."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lexigraft.runs.folder import write_json
from lexigraft.runs.identity import run_id
from lexigraft.runs.state import claimed

WORK = "tests.studies.search.works:measure"


def measure(values: Mapping[str, Any]) -> float:
    """Best at x = 1; leaves a file for each time that it was begun."""
    folder = Path(values["output_root"]) / "runs" / run_id(values)
    with claimed(folder):
        (folder / f"begun-{time.time_ns()}").touch()
        time.sleep(values.get("seconds", 0.0))
        value = -((values["x"] - 1.0) ** 2)
        best = {"epoch": 1, "step": 1, "value": value}
        write_json(folder / "result.json", {"status": "finished", "monitor": "accuracy", "best": best})
    return value
