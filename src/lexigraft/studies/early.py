"""`execute`, and with it whatever a run imports late: the fork server imports this, so that no job has to.

Nothing here may touch a GPU or start a thread of Python's, since neither outlives a fork. OpenBLAS and jemalloc begin
theirs anew.
"""

import importlib
import pkgutil
from contextlib import suppress

import PIL.Image

from lexigraft.runs.manifest import package_sha256
from lexigraft.studies.worker import execute

__all__ = ["execute"]

# Of other packages: what writes figures, tables and checkpoints.
LATE = (
    "matplotlib.backends.backend_agg", "pandas", "pyarrow.pandas_compat", "pyarrow.parquet",
    "fsspec.implementations.chained", "torch.utils.serialization.config",
)  # fmt: skip
COMMANDS = ("lexigraft.commands.train", "lexigraft.commands.pretrain")
ROOMS = ("data", "embeddings", "evaluation", "models", "runs", "tasks", "training", "transplant", "vocab")


def modules() -> list[str]:
    """Every module of the rooms whose code the options of conf/ name."""
    packages = [importlib.import_module(f"lexigraft.{room}") for room in ROOMS]
    found = [pkgutil.walk_packages(package.__path__, package.__name__ + ".") for package in packages]
    return ["lexigraft.teachers", *(module.name for of_room in found for module in of_room)]


for name in (*COMMANDS, *LATE, *modules()):
    with suppress(Exception):  # not installed, or broken: the run that needs it will say so
        importlib.import_module(name)
PIL.Image.preinit()
package_sha256()  # of the code that is running, whatever becomes of the files while a study lasts
