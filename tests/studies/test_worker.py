import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from lexigraft.config.compose import jobs, loader
from lexigraft.config.preflight import SCHEMAS, preflight, without_hydra
from lexigraft.runs.state import RunState
from lexigraft.studies.job import Job
from lexigraft.studies.worker import execute
from tests.fixtures.task import MODEL, SOURCE

SCRIPT = """
import json, sys
from lexigraft.studies.job import Job
from lexigraft.studies.pool import Pool

given = json.loads(sys.stdin.read())
with Pool(2) as pool:
    found = [(o.state, o.value, o.error) for o in pool.run([Job(str(i), values) for i, values in enumerate(given)])]
print(json.dumps({"outcomes": found, "torch": "torch" in sys.modules}))
"""


@pytest.fixture
def values(task_overrides: list[str], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """The resolved config of a run of the tiny task, with further overrides."""

    def composed(*overrides: str) -> dict[str, Any]:
        line = [*task_overrides, *SOURCE, *MODEL, f"output_root={tmp_path}", "trainer.epochs=1", *overrides]
        with loader():
            [(cfg, origin)] = jobs("train", line, False)
            checked = preflight(without_hydra(cfg), SCHEMAS["train"], origin)
        found = OmegaConf.to_container(checked)
        assert isinstance(found, dict)
        return found

    return composed


def best(job: Job) -> float:
    return json.loads((job.folder / "result.json").read_text())["best"]["value"]


def test_a_run_is_trained_once_by_its_values(values, capfd):
    job = Job("a", values())
    assert execute(job.values) == best(job)
    assert RunState.read(job.folder).name == "finished"
    capfd.readouterr()
    assert execute(job.values) == best(job)
    assert "finished already" in capfd.readouterr().out


def test_a_pool_trains_in_processes_that_have_imported_everything(values):
    given = [values("seed=0"), values("seed=1"), values("source.path=nowhere.npz")]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(given),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert not said["torch"]
    first, second, missing = said["outcomes"]
    assert first == ["finished", best(Job("", given[0])), None]
    assert second == ["finished", best(Job("", given[1])), None]
    assert missing[0] == "failed"
    assert "nowhere.npz" in missing[2]
