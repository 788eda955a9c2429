"""The models that come with lexigraft itself."""

from dataclasses import replace
from pathlib import Path

from lexigraft.embeddings.checkpoint import read_checkpoint
from lexigraft.embeddings.matrix import EmbeddingMatrix

_FOLDER = Path(__file__).parent.parent / "shipped"


def read_shipped(name: str) -> EmbeddingMatrix:
    """The embeddings of a checkpoint inside the package, as `read_checkpoint` reads them; `FileNotFoundError` for
    another name than those of its folders.
    """
    folder = _FOLDER / name
    if not (folder / "config.json").is_file():
        known = ", ".join(sorted(path.parent.name for path in _FOLDER.glob("*/config.json"))) or "none"
        raise FileNotFoundError(f"no model {name!r} comes with lexigraft, which has: {known}")
    matrix = read_checkpoint(str(folder))
    return replace(matrix, origin={**matrix.origin, "name": name})
