"""A file on an HTTP server of which pieces are fetched: resumed where they were cut, kept by content, verified."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock

from lexigraft.cache import cache_folder, made, seal, sealed
from lexigraft.network import obstacle
from lexigraft.web import answer, patiently, range_of, receive

# The first request takes so much: the whole header of most checkpoints.
FIRST_BYTES = 1 << 15


@dataclass(frozen=True)
class Version:
    """What a server says of a file's content: its tag (hash, ETag or date; None if it has none), its size in bytes,
    and whether it serves ranges of it.
    """

    tag: str | None
    size: int
    ranges: bool


@dataclass(frozen=True)
class WebFile:
    """The file at `url`; `headers` go to its host alone.

    `hub` is the address of the hub where the URL names a commit of a repository there: such a file never changes, so
    that the server is asked but once, and its content is known by the hash that the hub tells. Of any other file the
    server is asked every time whether it is still the one that was kept; where it cannot be reached, it counts as such.
    `first` is how many bytes the first request takes, None for all.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    hub: str | None = None
    first: int | None = FIRST_BYTES
    _sound: set[Path] = field(default_factory=set, compare=False, repr=False)

    @cached_property
    def version(self) -> Version:
        """The version that is read through this object.

        `FileNotFoundError` where there is no such file (`Absent`) or no way to its server, and `ValueError` where the
        server's answers make no sense.
        """
        kept = self._recalled()
        if kept is not None and self.hub is not None:
            return kept
        hindrance = obstacle(self.url)
        if hindrance is None:
            with FileLock(self._address(".lock")):
                return patiently(self.url, lambda: self._asked(kept))
        if kept is not None:
            return kept
        raise FileNotFoundError(f"{self.url} is not in the cache ({cache_folder()}), and {hindrance}")

    def piece(self, start: int, stop: int) -> Path:
        """A local file with the bytes from `start` to before `stop`; all of the file where the server knows no ranges.

        `ValueError` if the file on the server is no longer the version that was first seen.
        """
        assert 0 <= start <= stop <= self.version.size
        if not self.version.ranges:
            start, stop = 0, self.version.size
        path = self._kept(self.version, start, stop)
        if path in self._sound:  # once is enough: a file without ranges is a gigabyte to hash for every tensor
            return path
        if not sealed(path):
            made(path.parent)
            with FileLock(f"{path}.lock"):
                if not sealed(path):
                    self._download(start, stop, path)
        self._sound.add(path)
        return path

    def whole(self) -> Path:
        """A local file with all bytes."""
        return self.piece(0, self.version.size)

    def _download(self, start: int, stop: int, path: Path) -> None:
        hindrance = obstacle(self.url)
        if hindrance is not None:
            raise FileNotFoundError(f"bytes {start}-{stop} of {self.url} are not in the cache, and {hindrance}")
        part = path.with_name(f"{path.name}.part")
        patiently(self.url, lambda: self._continued(start, stop, part), lambda: _size(part))
        seal(part, path)

    def _continued(self, start: int, stop: int, part: Path) -> None:
        """Ask for what `part` lacks of the bytes from `start` to before `stop`, and append it."""
        have = _size(part)
        if have == stop - start and self.version.tag is not None:
            return
        if not self.version.ranges or self.version.tag is None or have > stop - start:
            have = 0  # what came before cannot be continued, or not be told from another version's
        wanted = {"Range": f"bytes={start + have}-{stop - 1}"} if self.version.ranges else {}
        with answer(self.url, {**self.headers, **wanted}) as response:
            # If-Range would say the same, but only by servers that know it.
            if self._tag(response) != self.version.tag or _told_size(response) not in (None, self.version.size):
                raise ValueError(f"{self.url} has changed on its server while it was read: run again")
            self._check_range(response, start + have if self.version.ranges else None)
            receive(response, part, have, stop - start)

    def _asked(self, kept: Version | None) -> Version:
        """The version that the server has now; what comes with its answer is kept."""
        wanted = {} if self.first is None else {"Range": f"bytes=0-{self.first - 1}"}
        if kept is not None and kept.tag is not None:
            wanted["If-None-Match" if kept.tag.startswith('"') else "If-Modified-Since"] = kept.tag
        with answer(self.url, {**self.headers, **wanted}) as response:
            if kept is not None and response.status_code == 304:
                return kept
            tag, size = self._tag(response), _told_size(response)
            ranges = response.status_code == 206
            self._check_range(response, 0 if ranges else None)
            if size is None and kept is not None and kept.tag == tag is not None:
                size = kept.size
            if tag is not None and size is not None and sealed(self._first(found := Version(tag, size, ranges))):
                return self._remembered(found, kept)
            part = self._address(".part")
            receive(response, part, 0, min(self.first, size) if ranges and self.first and size else size)
        found = self._remembered(Version(tag, _size(part) if size is None else size, ranges), kept)
        path = self._first(found)
        made(path.parent)
        seal(part, path)
        return found

    def _check_range(self, response: Any, start: int | None) -> None:
        """`ValueError` unless the body begins at `start`, or is the whole file where that is None."""
        begin = range_of(response)[0] if response.status_code == 206 else None
        if begin != start:
            raise ValueError(f"{self.url} is answered with other bytes than were asked for: download it yourself")

    def _tag(self, response: Any) -> str | None:
        """What tells this content from any other: on the hub its hash, elsewhere a strong ETag, or the date."""
        if self.hub is not None:
            linked = [tag for r in (*response.history, response) if (tag := r.headers.get("x-linked-etag"))]
            # A commit's file never changes, so that its address, too, tells its content.
            return linked[0] if linked else self.url
        etag: str | None = response.headers.get("etag")
        if etag is None or etag.startswith("W/"):
            etag = response.headers.get("last-modified")
        return etag

    def _remembered(self, version: Version, before: Version | None) -> Version:
        """The version, noted for the next time; pieces of the one before are deleted."""
        if before is not None and (before != version or version.tag is None):
            shutil.rmtree(self._content(before), ignore_errors=True)
        about = self._address(".new")
        about.write_text(json.dumps({"url": self.url, **asdict(version)}), encoding="utf-8")
        os.replace(about, self._address(".json"))
        return version

    def _recalled(self) -> Version | None:
        try:
            about = json.loads(self._address(".json").read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return Version(about["tag"], about["size"], about["ranges"])

    def _address(self, suffix: str) -> Path:
        """A file of what is known of this URL."""
        return made(cache_folder() / "addresses") / f"{_hash(self.url)}{suffix}"

    def _content(self, version: Version) -> Path:
        """The folder of the pieces of a version; an ETag says nothing outside its URL, a hash on the hub does."""
        return cache_folder() / "content" / _hash(f"{self.hub or self.url} {version.tag} {version.size}")

    def _kept(self, version: Version, start: int, stop: int) -> Path:
        return self._content(version) / f"{start}-{stop}"

    def _first(self, version: Version) -> Path:
        """The piece that comes with the first answer."""
        stop = min(self.first, version.size) if version.ranges and self.first else version.size
        return self._kept(version, 0, stop)


def _told_size(response: Any) -> int | None:
    """The size of the whole file, as far as the answer tells it."""
    if response.status_code == 206:
        return range_of(response)[1]
    length = response.headers.get("content-length", "")
    return int(length) if length.isdecimal() else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]
