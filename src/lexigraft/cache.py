"""The folder of downloaded bytes: files with their SHA-256 beside them, checked whenever they are used.

It is `LEXIGRAFT_CACHE` where that is set, else `lexigraft` under `HF_HOME` where that is set, else under
`XDG_CACHE_HOME` (`~/.cache`). All of it may be deleted at any time.
"""

import hashlib
import os
from pathlib import Path


def cache_folder() -> Path:
    """Where downloaded bytes are kept."""
    if own := os.environ.get("LEXIGRAFT_CACHE"):
        return Path(own).expanduser()
    shared = os.environ.get("HF_HOME") or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(shared).expanduser() / "lexigraft"


def made(folder: Path) -> Path:
    """The folder, made if it is not there; `ValueError` where that is not allowed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"the cache cannot be written ({error}): set LEXIGRAFT_CACHE to another folder") from error
    return folder


def seal(part: Path, path: Path) -> None:
    """Give a file that is complete its final name, and write down its hash."""
    _seal_of(path).write_text(_sha256(part))
    os.replace(part, path)


def sealed(path: Path) -> bool:
    """Whether the file is there with the bytes that were sealed."""
    try:
        return _seal_of(path).read_text() == _sha256(path)
    except FileNotFoundError:
        return False


def _seal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
