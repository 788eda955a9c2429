"""Whom a file is readable for."""

import os
from pathlib import Path


def as_any_new_file(path: Path) -> None:
    """Give a file the permissions that the umask says: safetensors leaves it readable for its owner alone."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)
