"""Archives whose bytes follow from their content alone, with a list of hashes inside."""

import gzip
import hashlib
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path, PurePosixPath

SUMS = "SHA256SUMS"
FORMATS = (".zip", ".tar.gz")
Content = bytes | Path


def require_format(path: Path) -> None:
    """`ValueError` for a name that says none of the formats."""
    if not path.name.endswith(FORMATS):
        raise ValueError(f"{path} should end with {' or '.join(FORMATS)}, which says what kind of archive is written")


def write_archive(path: Path, top: str, files: Mapping[str, Content]) -> int:
    """Write files, given by their names below the folder `top`, and their hashes; whole or not at all. Its size.

    Names are sorted, and times, owners and permissions are the same on every machine.
    """
    require_format(path)
    sums = "".join(f"{hashlib.sha256(_bytes(files[name])).hexdigest()}  {name}\n" for name in sorted(files))
    everything: dict[str, Content] = {**files, SUMS: sums.encode()}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    try:
        (_zip if path.name.endswith(".zip") else _tar)(temporary, top, everything)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path.stat().st_size


def check_archive(path: Path) -> int:
    """How many files an archive holds; `ValueError` unless each is there as its list of hashes says."""
    require_format(path)
    try:
        found = {name: hashlib.sha256(content).hexdigest() for name, content, _ in _members(path)}
        listed = next((content for name, content, _ in _members(path) if PurePosixPath(name).name == SUMS), None)
    except (OSError, EOFError, zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is damaged or no archive ({error}): copy it again") from error
    if listed is None:
        raise ValueError(f"{path} was not written by lexigraft bundle: it has no {SUMS}")
    wanted = {name: of for of, _, name in (line.partition("  ") for line in listed.decode().splitlines())}
    below = {PurePosixPath(*PurePosixPath(name).parts[1:]).as_posix(): of for name, of in found.items()}
    below.pop(SUMS)
    for what, names in (
        ("lacks", wanted.keys() - below.keys()),
        ("has more than its list, first", below.keys() - wanted.keys()),
        ("was changed: see", {name for name in wanted.keys() & below.keys() if wanted[name] != below[name]}),
    ):
        if names:
            raise ValueError(f"{path} {what} {min(names)}")
    return len(below)


def _members(path: Path) -> Iterator[tuple[str, bytes, int]]:
    """Names, contents and permissions."""
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path) as file:
            for info in file.infolist():
                yield info.filename, file.read(info), info.external_attr >> 16
    else:
        with tarfile.open(path) as archive:
            for member in archive:
                opened = archive.extractfile(member)
                yield member.name, b"" if opened is None else opened.read(), member.mode


def _zip(path: Path, top: str, files: Mapping[str, Content]) -> None:
    with zipfile.ZipFile(path, "w") as file:
        for name in sorted(files):
            info = zipfile.ZipInfo(f"{top}/{name}", (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, (0o100000 | _mode(name)) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(info, _bytes(files[name]), compresslevel=6)


def _tar(path: Path, top: str, files: Mapping[str, Content]) -> None:
    with (
        open(path, "wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in sorted(files):
            content = _bytes(files[name])
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size, info.mode = len(content), _mode(name)
            archive.addfile(info, BytesIO(content))


def _bytes(content: Content) -> bytes:
    return content.read_bytes() if isinstance(content, Path) else content


def _mode(name: str) -> int:
    return 0o755 if name.endswith(".sh") else 0o644
