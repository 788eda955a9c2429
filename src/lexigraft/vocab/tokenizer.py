"""Text to ids: a `tokenizers` backend, the vocabulary read from it, and an optional word segmenter before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tokenizers

from lexigraft.vocab.vocabulary import Vocabulary


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer whose vocabulary is known by bytes.

    `segmenter` is "jieba" when texts are cut into Chinese words before the backend sees them, else None.
    """

    backend: tokenizers.Tokenizer
    vocabulary: Vocabulary
    segmenter: str | None = None

    def encode(self, texts: Sequence[str], max_tokens: int | None = None) -> list[list[int]]:
        """Token ids of each text, the backend's special tokens included, cut to `max_tokens`."""
        raise NotImplementedError

    @property
    def pad_id(self) -> int:
        """Id of the padding token; `ValueError` if the vocabulary has none."""
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json` such that `load` gives an equal tokenizer."""
        raise NotImplementedError

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """The tokenizer of a folder: `tokenizer.json` with, where present, the special tokens' roles beside it."""
        raise NotImplementedError
