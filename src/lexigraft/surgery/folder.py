"""A new folder that appears as a whole or not at all."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """A folder beside `output` to write into, renamed to it at the end; an error or Ctrl-C removes it.

    `ValueError` if `output` exists.
    """
    if output.exists():
        raise ValueError(f"output={output} exists already, and nothing is overwritten: give a new folder")
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".{output.name}-{secrets.token_hex(4)}")
    partial.mkdir()
    try:
        yield partial
        if output.exists():
            raise ValueError(f"output={output} appeared in the meantime, and nothing is overwritten: give a new folder")
        partial.rename(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def renewed_folder(output: Path) -> Iterator[Path]:
    """`new_folder`, in the place of what an attempt left that ended before it was done."""
    shutil.rmtree(output, ignore_errors=True)
    with new_folder(output) as partial:
        yield partial
