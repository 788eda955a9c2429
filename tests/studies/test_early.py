import subprocess
import sys

from lexigraft.studies.early import modules

LOOK = """
import lexigraft.studies.early, sys, threading, torch
print(threading.active_count(), torch.cuda.is_initialized(), "wandb" in sys.modules, "mlflow" in sys.modules)
"""


def test_the_code_of_the_options_is_among_what_is_imported():
    assert {"lexigraft.data.files", "lexigraft.models.encoders", "lexigraft.transplant.subtokens"} <= set(modules())


def test_importing_leaves_nothing_that_a_fork_would_break():
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == "1 False False False\n", done.stderr
