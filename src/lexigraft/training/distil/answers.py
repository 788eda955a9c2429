"""What a teacher said of the training texts, and where that is kept."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from lexigraft.cache import cache_folder, made, seal, sealed
from lexigraft.permissions import as_any_new_file


@dataclass(frozen=True)
class Answers:
    """Of N texts a teacher's outputs `[N, C]`, the mean `[N, W]` of its hidden states over their tokens, and the mean
    `[N, D]` of its word vectors; None for what was not asked or cannot be had. Float32, on the CPU."""

    outputs: Tensor | None = None
    hidden: Tensor | None = None
    vectors: Tensor | None = None

    def __deepcopy__(self, seen: dict[int, Any]) -> "Answers":
        # They never change, and averages of weights copy the whole module.
        return self


def kept(key: str, read: Callable[[], Answers]) -> Answers:
    """The answers that the cache holds under a key, read and put there if it holds none; safe to delete."""
    from safetensors.torch import load_file, save_file

    path = _place(key)
    if sealed(path):
        return Answers(**load_file(path))
    answers = read()
    part = path.with_suffix(".part")
    save_file({name: value.contiguous() for name, value in _there(answers).items()}, part)
    as_any_new_file(part)
    seal(part, path)
    return answers


def _there(answers: Answers) -> dict[str, Tensor]:
    """What there is of the answers, by name."""
    return {name: value for name, value in vars(answers).items() if value is not None}


def _place(key: str) -> Path:
    digest = hashlib.sha256(key.encode()).hexdigest()
    return made(cache_folder() / "teachers") / f"{digest}.safetensors"
