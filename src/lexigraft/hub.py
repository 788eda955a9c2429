"""Where a model or a data set lies on this machine: a local path, a snapshot of the hub, or a download.

A model may also be named by the address of a folder on any HTTP server.
"""

import difflib
import os
import re
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from lexigraft.network import obstacle
from lexigraft.web_file import WebFile
from lexigraft.web_folder import file_address, is_address, mirrored


def resolve(
    name: str,
    *,
    kind: Literal["model", "dataset"] = "model",
    revision: str | None = None,
    files: Sequence[str] | None = None,
) -> Path:
    """The local path of `name`: a file or folder, else a cached snapshot of the hub, else a download.

    `name` may also be the address of a model's folder on a server, `https://host/path`; there, `files` are needed.
    `files` are glob patterns of what is needed (None: everything); only these are downloaded. A cached
    snapshot that has something for each of them is used without asking the hub; one that has something for
    some of them is used where the hub cannot be reached. Without network the answer comes within seconds.
    Raises `FileNotFoundError`: no such path, not cached and the hub out of reach, or unknown to the hub.
    """
    if is_address(name):
        return _of_server(name, kind, revision, files)
    if _looks_like_a_path(name) or Path(name).exists():
        return local_path(name)
    snapshot, complete = _cached(name, kind, revision, files)
    if snapshot is not None and (complete or _holds(snapshot, files, every=True)):
        return snapshot
    hindrance = obstacle(endpoint())
    if hindrance is None:
        snapshot = _download(name, kind, revision, files)
    if snapshot is not None and _holds(snapshot, files, every=False):
        return snapshot
    wanted = f"the {kind} {name!r}" + (f" at revision {revision!r}" if revision else "")
    if hindrance is None:
        raise FileNotFoundError(f"{wanted} on {endpoint()} has none of {', '.join(files or ['*'])}")
    hint = _near(name, Path.cwd()) or "give the path of a local folder, or download it once where there is a network"
    raise FileNotFoundError(
        f"{wanted} is neither a folder here ({Path.cwd()}) nor in the hub's cache ({_cache_folder()}), and "
        f"{hindrance}: {hint}"
    )


def web_file(name: str, revision: str | None, file: str) -> WebFile | None:
    """A model's file to be read in pieces: in a folder on a server, or in a commit on the hub; None if `name` is
    neither (a local path), or `revision` no commit.
    """
    if is_address(name):
        return WebFile(file_address(name, file))
    local = _looks_like_a_path(name) or Path(name).exists()
    if local or revision is None or not re.fullmatch("[0-9a-f]{40}", revision):
        return None
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    hub = endpoint()
    return WebFile(hf_hub_url(name, file, revision=revision, endpoint=hub), build_hf_headers(), hub)


def local_path(path: str | Path) -> Path:
    """`path` with `~` expanded; `FileNotFoundError` with near names if it is missing."""
    local = Path(path).expanduser()
    if local.exists():
        return local
    missing, folder = local, local.parent
    while not folder.is_dir() and folder != folder.parent:
        missing, folder = folder, folder.parent
    hint = _near(missing.name, folder) or "check the path"
    raise FileNotFoundError(f"{local} does not exist: there is no {missing.name!r} in {folder.resolve()}; {hint}")


def endpoint() -> str:
    """The hub's address: `HF_ENDPOINT`, or huggingface.co."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def _of_server(url: str, kind: str, revision: str | None, files: Sequence[str] | None) -> Path:
    if kind != "model" or files is None:
        raise ValueError(f"{url} is an address, of which only models are read: give the path of a local folder")
    if revision is not None:
        raise ValueError(f"revision={revision} is for models of the hub, but {url} is an address: leave it out")
    try:
        return mirrored(url, files)
    except FileNotFoundError as error:
        of_hub = re.match(rf"{re.escape(endpoint())}/([^/]+/[^/]+)", url)
        hint = f"; for the model of the hub, take its name: {of_hub[1]}" if of_hub else ""
        raise FileNotFoundError(f"{error}{hint}") from error


def _looks_like_a_path(name: str) -> bool:
    """True where `name` cannot be a hub name (`name` or `owner/name`), or starts in a folder that exists."""
    if name.startswith((".", "/", "~")) or name.endswith("/") or "\\" in name or name.count("/") > 1:
        return True
    return "/" in name and Path(name).parent.is_dir()


def _near(name: str, folder: Path) -> str:
    """A question that offers the folder's nearest names; empty if none is near."""
    inside = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    near = difflib.get_close_matches(name, inside, n=3)
    return f"did you mean {' or '.join(near)}?" if near else ""


def _cache_folder() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _cached(name: str, kind: str, revision: str | None, files: Sequence[str] | None) -> tuple[Path | None, bool]:
    """The folder of a snapshot in the hub's cache, and whether it surely has all that the repository has of `files`."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    patterns = None if files is None else list(files)
    try:
        folder = Path(
            snapshot_download(name, repo_type=kind, revision=revision, local_files_only=True, allow_patterns=patterns)
        )
    except LocalEntryNotFoundError as error:
        partial = getattr(error, "snapshot_path", None)
        return (Path(partial) if partial and files is not None else None), False
    except HFValidationError as error:
        raise ValueError(f"{name!r} is neither a path that exists nor a name on the hub: {error}") from error
    # The hub library has compared the snapshot with the repository's listing, where an earlier download kept one.
    return folder, (folder.parent.parent / "trees" / f"{folder.name}.json").is_file()


def _holds(folder: Path, files: Sequence[str] | None, every: bool) -> bool:
    """Whether the folder has a file for each (`every`) or for one of the patterns."""
    if files is None:
        return True
    present = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    found = [any(fnmatch(p, pattern) for p in present) for pattern in files]
    return all(found) if every else any(found)


def _download(name: str, kind: str, revision: str | None, files: Sequence[str] | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    # The HTTP library's own base class, whichever library (httpx, httpx2) the hub's is built on.
    http_error: type[Exception] = HfHubHTTPError.__bases__[0]
    hub = endpoint()
    try:
        folder = snapshot_download(
            name,
            repo_type=kind,
            revision=revision,
            allow_patterns=None if files is None else list(files),
            endpoint=hub,
        )
    except GatedRepoError as error:
        raise FileNotFoundError(
            f"the {kind} {name!r} on {hub} is gated: accept its terms there, then set HF_TOKEN"
        ) from error
    except RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"there is no {kind} {name!r} on {hub}, nor a folder of that name in {Path.cwd()}: "
            f"check the spelling (owner/name), or set HF_TOKEN if it is private"
        ) from error
    except RevisionNotFoundError as error:
        raise FileNotFoundError(f"the {kind} {name!r} on {hub} has no revision {revision!r}") from error
    except (OSError, http_error) as error:
        reason = " ".join(str(error).split())
        raise FileNotFoundError(f"downloading the {kind} {name!r} from {hub} failed: {reason}") from error
    return Path(folder)
