"""Labelled texts in three splits, and what was done to get them."""

import hashlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Split:
    """Texts and their class indices, in order."""

    texts: list[str]
    labels: list[int]

    def __post_init__(self) -> None:
        assert len(self.texts) == len(self.labels)

    def __len__(self) -> int:
        return len(self.texts)

    def fingerprint(self) -> str:
        """SHA-256 over labels and texts in order."""
        digest = hashlib.sha256()
        for label, text in zip(self.labels, self.texts):
            # The length keeps a text that holds line breaks from looking like two rows.
            digest.update(f"{label}\t{len(text)}\t{text}\n".encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class TextData:
    """A classification data set.

    `classes[i]` names class i. `language` is an ISO 639-1 code ("zh", "en"). `report` counts, in plain values, what
    was read, removed and split; it is printed and saved with every run.
    """

    name: str
    train: Split
    dev: Split
    test: Split
    classes: tuple[str, ...]
    language: str
    report: dict[str, Any]

    def splits(self) -> dict[str, Split]:
        """The three splits by name: train, dev, test."""
        return {"train": self.train, "dev": self.dev, "test": self.test}
