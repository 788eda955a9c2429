"""Labelled texts in three splits, and what was done to get them."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# What a text may be labelled with, by kind: the index of its class ("class"; "order" where the classes are ranks), the
# indices of all that apply ("several"), a number ("number"), or the class of each of its units ("tags"; the units of
# a text stand between single spaces).
Label = int | float | tuple[int, ...]
KINDS = ("class", "several", "number", "order", "tags")


@dataclass(frozen=True)
class Split:
    """Texts and their labels, in order; `second` holds the other text of each pair, where the texts are pairs."""

    texts: list[str]
    labels: list[Label]
    second: list[str] | None = None

    def __post_init__(self) -> None:
        assert len(self.texts) == len(self.labels)
        assert self.second is None or len(self.second) == len(self.texts)

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, places: Iterable[int]) -> "Split":
        """Some rows, in the given order."""
        chosen = list(places)
        second = None if self.second is None else [self.second[i] for i in chosen]
        return Split([self.texts[i] for i in chosen], [self.labels[i] for i in chosen], second)

    def rows(self) -> list[tuple[str, str]]:
        """All that is text in each row: the text, and the second one of a pair ("" where there is none)."""
        return list(zip(self.texts, self.second or [""] * len(self)))

    def all_texts(self) -> list[str]:
        """Every text, those that come second after the others."""
        return self.texts + (self.second or [])

    def fingerprint(self) -> str:
        """SHA-256 over labels and texts in order."""
        digest = hashlib.sha256()
        for i, (label, text) in enumerate(zip(self.labels, self.texts)):
            # The length keeps a text that holds line breaks from looking like two rows.
            digest.update(f"{label}\t{len(text)}\t{text}\n".encode())
            if self.second is not None:
                digest.update(f"{len(self.second[i])}\t{self.second[i]}\n".encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class TextData:
    """A labelled data set.

    `kind` is what its labels are, one of `KINDS`; `classes[i]` names class i, and there is none for numbers.
    `language` is an ISO 639-1 code ("zh", "en"). `report` counts, in plain values, what was read, removed and split;
    it is printed and saved with every run.
    """

    name: str
    train: Split
    dev: Split
    test: Split
    classes: tuple[str, ...]
    language: str
    report: dict[str, Any]
    kind: str = "class"

    def splits(self) -> dict[str, Split]:
        """The three splits by name: train, dev, test."""
        return {"train": self.train, "dev": self.dev, "test": self.test}
