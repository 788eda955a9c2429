"""A folder on any HTTP server, mirrored: the small files of a checkpoint, and weights where they are wanted whole."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import quote, urlsplit

from lexigraft.cache import cache_folder, made
from lexigraft.network import obstacle
from lexigraft.web import Absent
from lexigraft.web_file import WebFile

# A server does not list its folders: patterns stand for those of these names that they match.
_KNOWN = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
    "generation_config.json",
    "chat_template.jinja",
    "modules.json",
    "preprocessor_config.json",
    "LICENSE",
)
# Not asked for where there is a tokenizer.json.
_OLD_TOKENIZERS = ("vocab.", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model")


def is_address(name: str) -> bool:
    """Whether a model is named by a folder's address instead of a path or a hub name."""
    return name.startswith(("https://", "http://"))


def file_address(folder: str, file: str) -> str:
    """The URL of a file in the folder at a URL; `ValueError` where that is no folder's plain address."""
    parts = urlsplit(folder)
    if not parts.hostname or parts.username is not None or parts.query or parts.fragment:
        shown = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
        raise ValueError(
            f"{shown} is no plain address of a folder: it is expected as https://host/path, without user name, "
            f"? and #, because what is read from there is recorded"
        )
    return f"{folder.rstrip('/')}/{quote(file)}"


def mirrored(url: str, files: Sequence[str]) -> Path:
    """The local folder with those of `files` (names or glob patterns) that the folder at `url` has.

    The server is asked whether they are still the same; where it cannot be reached, those from before serve.
    `FileNotFoundError` where there is none.
    """
    hindrance = obstacle(file_address(url, ""))
    folder = made(cache_folder() / "folders" / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:40])
    if hindrance is not None:
        reason = f"was not read before, and {hindrance}"
    else:
        reason = f"has none of {', '.join(files)}"
        for name in [k for k in _KNOWN if any(fnmatch(k, f) for f in files)]:
            if name.startswith(_OLD_TOKENIZERS) and (folder / "tokenizer.json").is_file():
                continue
            try:
                place(WebFile(file_address(url, name), first=None).whole(), folder / name)
            except Absent as error:
                (folder / name).unlink(missing_ok=True)
                reason = f"has none of {', '.join(files)} ({error})"
    if not any(fnmatch(p.name, f) for p in folder.iterdir() for f in files):
        raise FileNotFoundError(f"{url} {reason}")
    return folder


def place(source: Path, target: Path) -> None:
    """Give a file a second name, without a copy of its bytes where the file system can do that."""
    if target.exists() and target.samefile(source):
        return
    new = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        os.link(source, new)
    except OSError:
        shutil.copyfile(source, new)
    os.replace(new, target)
