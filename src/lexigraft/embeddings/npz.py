"""Vectors in a NumPy archive, with their words in a file beside it."""

import json
import zipfile
import zlib
from pathlib import Path

import numpy as np

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.embeddings.static import static_matrix
from lexigraft.hub import local_path


def read_npz(
    path: str | Path,
    vocabulary: str | Path,
    rows: str = "vectors",
    not_real: str | None = None,
    root: str | Path | None = None,
) -> EmbeddingMatrix:
    """Array `rows` `[V, D]` of the archive, for the words of `vocabulary` (.txt: one a line; .json: a list).

    `not_real` names a Boolean array `[V]` that flags rows to drop. Relative paths are under `root`.
    `ValueError` where arrays and words do not fit together.
    """
    file = _under(root, path)
    words = _words(_under(root, vocabulary))
    try:
        with np.load(file) as archive:
            matrix = _array(archive, rows, file)
            dropped = _array(archive, not_real, file) if not_real else np.zeros(len(matrix), dtype=bool)
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if matrix.ndim != 2 or len(matrix) != len(words):
        raise ValueError(
            f"array {rows!r} of {path} has shape {matrix.shape}, but {vocabulary} has {len(words)} words: one row per "
            f"word is expected"
        )
    if dropped.shape != (len(words),) or dropped.dtype != np.bool_:
        raise ValueError(
            f"array {not_real!r} of {path} has shape {dropped.shape} and type {dropped.dtype}: one Boolean per row is "
            f"expected"
        )
    return static_matrix(
        "npz",
        path,
        [w for w, drop in zip(words, dropped) if not drop],
        matrix[~dropped],
        # Archives are often called vectors.npz: the folder tells which.
        name="/".join(Path(path).parts[-2:]),
        repairs={"not_real": int(dropped.sum())},
        vocabulary=str(vocabulary),
    )


def _under(root: str | Path | None, path: str | Path) -> Path:
    """The path under the data root, or a `FileNotFoundError` that says how to set one."""
    full = Path(path).expanduser() if root is None else Path(root).expanduser() / path
    if root is None and not full.is_absolute() and not full.exists():
        raise FileNotFoundError(
            f"{path} is not in {Path.cwd()}: set data.root=... or the environment variable LEXIGRAFT_DATA to the "
            f"folder that it lies in"
        )
    return local_path(full)


def _words(path: Path) -> list[bytes]:
    if path.suffix == ".json":
        try:
            words = json.loads(path.read_bytes())
        except ValueError as error:
            raise ValueError(f"{path} is no JSON: {error}") from error
        if not isinstance(words, list) or not all(isinstance(w, str) for w in words):
            raise ValueError(f"{path} holds {type(words).__name__}: a list of words is expected")
        return [w.encode(errors="surrogatepass") for w in words]
    lines = path.read_bytes().split(b"\n")
    return [line.removesuffix(b"\r") for line in (lines[:-1] if lines[-1] == b"" else lines)]


def _array(archive: "np.lib.npyio.NpzFile", name: str, file: Path) -> np.ndarray:
    if name not in archive.files:
        raise ValueError(f"it has no array {name!r}, only {', '.join(archive.files)}")
    return archive[name]
