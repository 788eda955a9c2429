"""fastText (Bojanowski et al., 2017): .vec holds words; .bin also the vectors of n-grams, for unseen words."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.embeddings.static import static_matrix
from lexigraft.embeddings.text_vectors import check_limit, text_matrix
from lexigraft.hub import local_path


def read_fasttext(path: str | Path, limit: int | None = None) -> EmbeddingMatrix:
    """Vectors of a .vec file (text) or of a .bin model, whose matrix can `compose` a row for an unseen word.

    `limit` keeps the first so many words. Reading .bin needs gensim (the `vectors` extra). `ValueError` where the
    file is cut off, or quantised (.ftz).
    """
    check_limit(limit)
    if Path(path).suffix == ".ftz":
        raise ValueError(f"{path} is a quantised fastText model: its rows are lost; take the .bin or .vec file")
    if Path(path).suffix != ".bin":
        return text_matrix("fasttext", path, limit)
    model = _load(local_path(path))
    words = [w.encode(errors="surrogateescape") for w in model.index_to_key[:limit]]

    def compose(word: str) -> torch.Tensor | None:
        """The mean of an unseen word's n-gram rows, as fastText does; None for one without n-grams."""
        if word not in model.key_to_index and not _ngram_rows(model, word):
            return None
        return torch.from_numpy(np.array(model.get_vector(word), dtype=np.float32))

    return static_matrix("fasttext", path, words, np.array(model.vectors[:limit], dtype=np.float32), compose=compose)


def _load(path: Path) -> Any:
    """gensim's `FastTextKeyedVectors` of a .bin file."""
    try:
        from gensim.models.fasttext import load_facebook_vectors
    except ImportError as error:
        raise ImportError(
            f"reading {path} needs gensim: pip install 'lexigraft[vectors]', or take the .vec file"
        ) from error
    try:
        return load_facebook_vectors(str(path))
    except Exception as error:  # gensim lets struct, numpy, assertion and Unicode errors through
        raise ValueError(f"{path} is not a whole fastText model: {type(error).__name__}: {error}") from error


def _ngram_rows(model: Any, word: str) -> list[int]:
    from gensim.models.fasttext import ft_ngram_hashes

    if not model.bucket:
        return []
    hashes: list[int] = ft_ngram_hashes(word, model.min_n, model.max_n, model.bucket)
    return hashes
