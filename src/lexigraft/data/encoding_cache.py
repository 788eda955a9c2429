"""Token ids kept between runs: every text is tokenised once, and later runs map the ids from files.

An entry's name is the SHA-256 of all that its ids depend on, so that no entry is ever out of date. The files lie under
`encoded` in the cache folder (see `cache.py`) and may be deleted at any time.
"""

import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from filelock import FileLock

from lexigraft.cache import cache_folder, seal, sealed
from lexigraft.data.encoded import Encoded
from lexigraft.data.encoding import encode_split
from lexigraft.data.text_data import Split
from lexigraft.vocab.tokenizer import Tokenizer

FORMAT = 1  # of the files, and of what `encode_split` does: raise it when either changes
SMALL = 100_000  # characters: fewer are tokenised about as fast as they are looked up


def encoded_splits(
    tokenizer: Tokenizer, splits: Mapping[str, Split], kind: str = "class", max_tokens: int | None = None
) -> dict[str, Encoded]:
    """`encode_split` of each split, from the cache where these texts were encoded before.

    The cache never stops a run: what cannot be read is made anew, what cannot be written is kept in memory, and stderr
    gets one line about it.
    """
    found, obstacles = {}, []
    settings: str | None = None
    for name, split in splits.items():
        encode = partial(encode_split, tokenizer, split, kind, max_tokens)
        if sum(map(len, split.all_texts())) < SMALL:
            found[name] = encode()
            continue
        if settings is None:
            settings = settings_of(tokenizer, kind, max_tokens)
        stem = cache_folder() / "encoded" / entry_of(split, settings)
        beside = ["units"] if kind == "tags" else ["types"] if split.second is not None else []
        found[name], obstacle = kept(stem, len(split), ["ids", *beside, "starts"], encode)
        obstacles += [obstacle] if obstacle else []
    if obstacles:
        print(f"note: token ids are not kept for later runs: {obstacles[0]}", file=sys.stderr)
    return found


def kept(stem: Path, texts: int, names: list[str], encode: Callable[[], Encoded]) -> tuple[Encoded, str | None]:
    """What `encode` makes of so many texts, from files `stem`.<name> if they are there, and what stood in the way."""
    made = None
    try:
        if (known := _read(stem, texts, names)) is not None:
            return known, None
        stem.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{stem}.lock"):  # a run beside this one encodes the same texts: wait for it
            if (known := _read(stem, texts, names)) is not None:
                return known, None
            made = encode()
            for name in names:
                _write(_file(stem, name), np.asarray(getattr(made, name), _TYPES[name]))
        return made, None
    except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
        return encode() if made is None else made, " ".join(str(error).split())


def _read(stem: Path, texts: int, names: list[str]) -> Encoded | None:
    """The entry, memory-mapped; None where it is not there, torn, or something else."""
    arrays: dict[str, np.ndarray] = {}
    for name in names:
        path = _file(stem, name)
        if not sealed(path):
            return None
        try:
            arrays[name] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError):
            return None
        if arrays[name].dtype != _TYPES[name] or arrays[name].ndim != 1:
            return None
    tokens = len(arrays["ids"])
    whole = len(arrays["starts"]) == texts + 1 and arrays["starts"][-1] == tokens
    if not whole or any(len(arrays[name]) != tokens for name in names if name != "starts"):
        return None
    return Encoded(**arrays)


def _write(path: Path, array: np.ndarray) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            np.save(file, array, allow_pickle=False)
        seal(part, path)
    finally:
        part.unlink(missing_ok=True)


_TYPES = {"ids": np.int32, "types": np.uint8, "units": np.int32, "starts": np.int64}


def _file(stem: Path, name: str) -> Path:
    return stem.with_name(f"{stem.name}.{name}.npy")


def settings_of(tokenizer: Tokenizer, kind: str, max_tokens: int | None) -> str:
    """All that ids depend on beside the texts."""
    # The roles of special tokens may come from a file beside the tokenizer's own.
    how = (FORMAT, kind, max_tokens, tokenizer.segmenter, sorted(tokenizer.vocabulary.roles.items()))
    return f"{how} {tokenizer.backend.to_str()}"


def entry_of(split: Split, settings: str) -> str:
    """The name of an entry: 64 hexadecimal digits."""
    digest = hashlib.sha256(settings.encode())
    for texts in (split.texts, split.second or []):
        # The lengths say where one text ends, whatever characters it holds.
        digest.update(np.fromiter(map(len, texts), np.int64, len(texts)).tobytes())
        digest.update("".join(texts).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
