"""The bytes of a vector file, plain or compressed, with a progress bar where the reading is long."""

import gzip
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from lexigraft.hub import local_path

QUIET_SECONDS = 2.0


@contextmanager
def open_vectors(path: str | Path) -> Iterator[tuple[BinaryIO, Callable[[], None]]]:
    """The file's uncompressed bytes (.gz and .zip are unpacked on the way), and a function to call now and then.

    That function shows how far the reading is, on a terminal and after two seconds. `FileNotFoundError` where there
    is no such file, `ValueError` where the compressed bytes are damaged or a .zip holds other than one file.
    """
    path = local_path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder: a file of word vectors is expected")
    with path.open("rb") as raw:
        try:
            with _uncompressed(path, raw) as file, _progress(path, raw) as tick:
                yield file, tick
        except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is damaged or cut off: {error}; fetch it again") from error


def _uncompressed(path: Path, raw: BinaryIO) -> BinaryIO:
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.GzipFile(fileobj=raw))
    if path.suffix == ".zip":
        archive = zipfile.ZipFile(raw)
        inside = [info.filename for info in archive.infolist() if not info.is_dir()]
        if len(inside) != 1:
            raise ValueError(
                f"{path} holds {len(inside)} files ({', '.join(inside[:5])}): unpack it and give the one you want"
            )
        return cast(BinaryIO, archive.open(inside[0]))
    return raw


@contextmanager
def _progress(path: Path, raw: BinaryIO) -> Iterator[Callable[[], None]]:
    """Calls to the function move a bar over the bytes of `raw`."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    started = time.monotonic()
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"reading {path.name}", total=path.stat().st_size, visible=False)

        def tick() -> None:
            late = time.monotonic() - started > QUIET_SECONDS
            bar.update(task, completed=raw.tell(), visible=late)

        yield tick
