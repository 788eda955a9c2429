"""What the jobs of a line do in the tests of launchers, in place of training."""

import os
import signal
import sys
from pathlib import Path

from lexigraft.config.errors import ConfigError
from lexigraft.runs.folder import RunFolder, write_json
from lexigraft.runs.state import claimed

WORK = "tests.studies.line_work:work"


def work(values):
    """The seed as value; 7 fails, 9 is killed."""
    folder = RunFolder.of(values)
    with claimed(folder.path):
        if values["seed"] == 7:
            raise ConfigError("seed 7 is unlucky")
        if values["seed"] == 9:
            os.kill(os.getpid(), signal.SIGKILL)
        about = {"argv": sys.argv, "full_error": os.environ.get("HYDRA_FULL_ERROR"), "folder": str(Path.cwd())}
        value = float(values["seed"])
        write_json(folder.result, {"status": "finished", "best": {"value": value}, "about": about})
    return value
