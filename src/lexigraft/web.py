"""Requests for the bytes of a file on an HTTP server: refused in a sentence, repeated after a pause, written to disk.

They go through the hub library's own client, which honours proxies and the hub's settings; it drops the token where a
redirect leads to another host.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

ATTEMPTS = 6
FIRST_PAUSE = 0.5  # seconds, doubled after every attempt
LONGEST_PAUSE = 60.0  # of those that a server asks for; whoever asks for more is told to the user
_REPEATED = {408, 425, 429, 500, 502, 503, 504}
_ABSENT = {403, 404, 410}  # S3 answers 403 for what is not there
_MUCH = 1 << 20
_SHOWN = 4 << 20  # downloads of fewer bytes are over before a progress line could be read


class Absent(FileNotFoundError):
    """The server has no such file, or none for us."""


class Again(Exception):
    """An answer that may be better next time, after `pause` seconds (None: as usual)."""

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


@contextmanager
def answer(url: str, headers: Mapping[str, str]) -> Iterator[Any]:
    """The server's answer to a GET: 200, 206 or 304, its body not yet read.

    `Absent` where there is no such file, `Again` for what passes, `FileNotFoundError` for any other refusal.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    plain = {"Accept-Encoding": "identity", **headers}  # ranges count the bytes of the file, not of a compressed form
    wait = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with get_session().stream("GET", url, headers=plain, follow_redirects=True, timeout=wait) as response:
        status = response.status_code
        if status in _REPEATED:
            raise Again(f"status {status}", _asked_pause(url, response.headers.get("retry-after")))
        if status in _ABSENT:
            raise Absent(f"there is no {url} (status {status}): check the address")
        if status == 401:
            raise Absent(f"{url} may not be read (status 401): set HF_TOKEN if it is a private model of the hub")
        if status == 416:
            raise ValueError(f"{url} is empty or shorter than it was: fetch the checkpoint again")
        if status not in (200, 206, 304):
            raise FileNotFoundError(f"{url} cannot be read: the server answers with status {status}")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise ValueError(f"{url} comes compressed, so that no range of it can be told: download it yourself")
        yield response


def patiently(url: str, attempt: Callable[[], T], done: Callable[[], int] = lambda: 0) -> T:
    """What `attempt` returns; it is repeated where the line or the server fails, with pauses that double.

    After `ATTEMPTS` failures in a row it is a `FileNotFoundError`; one that brought a megabyte more (of the bytes that
    `done` counts) begins a new row.
    """
    from huggingface_hub.errors import HfHubHTTPError

    # The HTTP library's own base class, whichever library (httpx, httpx2) the hub's is built on.
    http_error: type[Exception] = HfHubHTTPError.__bases__[0]
    failures = 0
    while True:
        before = done()
        try:
            return attempt()
        except (Again, http_error) as error:
            failures = 1 if done() >= before + _MUCH else failures + 1
            if failures == ATTEMPTS:
                reason = " ".join(str(error).split()) or type(error).__name__
                raise FileNotFoundError(
                    f"downloading {url} failed {ATTEMPTS} times ({reason}): run again, what has come is kept"
                ) from error
            asked = error.pause if isinstance(error, Again) else None
            time.sleep(FIRST_PAUSE * 2 ** (failures - 1) if asked is None else asked)


def receive(response: Any, part: Path, have: int, size: int | None) -> None:
    """Write the body behind the first `have` bytes of `part`, up to `size` bytes in all; `Again` if it ends before."""
    with part.open("ab" if have else "wb") as file, _progress(response, have, size) as advance:
        assert file.tell() == have
        for chunk in response.iter_raw():  # as they come: what a larger piece had gathered would be lost with the line
            room = len(chunk) if size is None else size - file.tell()
            advance(file.write(chunk[:room]))
            if size is not None and file.tell() == size:
                break
        if size is not None and file.tell() < size:
            raise Again(f"only {file.tell():,} of {size:,} bytes came")


def range_of(response: Any) -> tuple[int, int]:
    """Where the body of a 206 begins, and the size of the whole file; `ValueError` where the server does not say."""
    content_range = response.headers.get("content-range", "")
    found = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", content_range)
    if found is None:
        raise ValueError(
            f"{response.url} answers a request for a range with Content-Range {content_range!r}: 'bytes "
            f"FIRST-LAST/SIZE' is expected; download the file yourself"
        )
    return int(found[1]), int(found[3])


def _asked_pause(url: str, retry_after: str | None) -> float | None:
    """The seconds of a Retry-After header, which holds seconds or a date; None where it is missing or neither."""
    if retry_after is None:
        return None
    if re.fullmatch(r"\d{1,9}", retry_after.strip()):
        pause = float(retry_after)
    else:
        try:
            date = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        pause = max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    if pause > LONGEST_PAUSE:
        raise FileNotFoundError(f"the server of {url} is busy and asks to wait {pause:.0f} s: run again then")
    return pause


@contextmanager
def _progress(response: Any, have: int, size: int | None) -> Iterator[Callable[[int], object]]:
    """One line on a terminal's stderr while a long download runs; gives the function that counts bytes."""
    length = response.headers.get("content-length", "")
    total = int(length) if size is None and length.isdecimal() else size
    if total is not None and total - have < _SHOWN:
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda count: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task(str(response.url.host), total=total, completed=have)
        yield lambda count: progress.advance(task, count)
