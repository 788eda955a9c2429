"""Other wordings of the training texts from a function of the user's, such as translation there and back."""

import functools
import gzip
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

from lexigraft.cache import cache_folder, made, seal, sealed

Make = Callable[[list[str]], list[str]]


@dataclass(frozen=True)
class Function:
    """The wordings that `make` gives, a list of as many texts as it is called with, in `variants` calls.

    With `cache`, they are kept in the cache folder by the function's name, its arguments and the texts, so that what
    takes a model hours is done once; delete them, or say false, where the function itself has changed. Kept is the
    answer of a function of a module whose arguments are plain values: of another it is not known which one it is.
    """

    make: Make
    variants: int = 1
    cache: bool = True

    def __post_init__(self) -> None:
        if self.variants < 1:
            raise ValueError(f"augment_texts.function.variants is {self.variants}; 1 or more is expected")
        if not callable(self.make):
            raise ValueError(
                f"augment_texts.function.make is {self.make!r}; a function is expected: "
                "{_target_: your_module.function, _partial_: true}"
            )

    def __call__(self, texts: Sequence[str], seed: int) -> list[list[str]]:
        """The wordings of each text, equal ones once; `ValueError` for an answer that is no list of as many texts."""
        wordings: list[list[str]] = [[] for _ in texts]
        for variant in range(self.variants):
            for of_text, wording in zip(wordings, self._call(list(texts), variant)):
                if wording not in of_text:
                    of_text.append(wording)
        return wordings

    def _call(self, texts: list[str], variant: int) -> list[str]:
        name = _identity(self.make) if self.cache else None
        if name is None:
            return self._checked(texts)
        key = json.dumps([name, variant, texts])
        file = cache_folder() / "augmented" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json.gz"
        if file.is_file() and sealed(file):
            kept: list[str] = json.loads(gzip.decompress(file.read_bytes()))
            return kept
        found = self._checked(texts)
        made(file.parent)
        part = Path(f"{file}.{os.getpid()}.part")
        part.write_bytes(gzip.compress(json.dumps(found, ensure_ascii=False).encode(), mtime=0))
        seal(part, file)
        return found

    def _checked(self, texts: list[str]) -> list[str]:
        found = list(self.make(list(texts)))
        if len(found) != len(texts) or not all(isinstance(text, str) for text in found):
            kinds = ", ".join(sorted({type(text).__name__ for text in found})) or "nothing"
            raise ValueError(
                f"the function of augment_texts.function.make made {len(found)} things ({kinds}) of {len(texts)} "
                "texts; as many texts, in the same order, are expected"
            )
        return found


def _identity(make: Make) -> str | None:
    """A function's dotted name with the arguments that are bound to it; None where that does not tell what it does."""
    arguments: list[Any] = []
    while isinstance(make, functools.partial):
        arguments += [make.args, make.keywords]
        make = make.func
    if not isinstance(make, FunctionType) or "<" in make.__qualname__:
        return None
    try:
        return f"{make.__module__}.{make.__qualname__} {json.dumps(arguments, sort_keys=True)}"
    except TypeError:
        return None
