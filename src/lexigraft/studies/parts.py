"""A composed config taken apart: parts that no interpolation joins, and the words that set one value of them each."""

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from lexigraft.config.schema import walk

Path = tuple[str, ...]
# Top-level keys whose values the schema or preflight looks at together: taken apart no further.
TOGETHER = ("hardware",)


@dataclass(frozen=True)
class Word:
    """An override; `chooses` an option of a group, or speaks of Hydra itself; `plain`: it sets a single value."""

    text: str
    override: Override
    path: Path
    chooses: bool
    plain: bool
    references: tuple[Path, ...]  # of the interpolations in its value


@dataclass(frozen=True)
class Part:
    """Top-level keys that no others know of, and which of a line's words speak of them.

    `made_of` is what decides its values but for those of the `free` words, each of which decides one value alone.
    """

    keys: tuple[str, ...]
    made_of: tuple[Any, ...]
    words: tuple[int, ...]
    free: tuple[int, ...]


@dataclass(frozen=True)
class Piece:
    """What stands under a top-level key: the value, not resolved; as a text, types included; and where it looks.

    `references` are from where to where its interpolations lead; None where that cannot be seen.
    """

    value: Any
    text: str
    references: tuple[tuple[Path, Path], ...] | None


class Base:
    """A config composed of options alone, not resolved, and closed to unknown keys."""

    def __init__(self, choices: tuple[str, ...], pieces: dict[str, Piece], cfg: DictConfig | None = None) -> None:
        self.choices, self.pieces, self._cfg = choices, pieces, cfg
        self._plain = {key: piece.value for key, piece in pieces.items()}

    @classmethod
    def of(cls, choices: tuple[str, ...], cfg: DictConfig) -> "Base":
        """The base that Hydra composed of these choices."""
        OmegaConf.set_struct(cfg, True)  # as Hydra does before it looks at the other words
        values = OmegaConf.to_container(cfg)
        assert isinstance(values, dict)
        return cls(choices, {str(key): _piece(str(key), value) for key, value in values.items()}, cfg)

    @classmethod
    def put_together(cls, choices: tuple[str, ...], first: "Base", others: Mapping[str, "Base"]) -> "Base | None":
        """`first` with the top-level keys that others changed; None where one has changed more than its own key."""
        pieces = dict(first.pieces)
        for key, other in others.items():
            pieces.pop(key, None)
            if {k: p.text for k, p in other.pieces.items() if k != key} != {
                k: p.text for k, p in first.pieces.items() if k != key
            }:
                return None
            if key in other.pieces:
                pieces[key] = other.pieces[key]
        return cls(choices, pieces)

    def changed(self, words: Sequence[Word]) -> DictConfig:
        """The config with words put in, as Hydra does it; its errors pass through."""
        cfg = OmegaConf.create(self._plain) if self._cfg is None else copy.deepcopy(self._cfg)
        OmegaConf.set_struct(cfg, True)
        ConfigLoaderImpl._apply_overrides_to_config([word.override for word in words], cfg)
        return cfg

    def free(self, words: Sequence[Word]) -> tuple[bool, ...] | None:
        """Which words do nothing but set a value that is there, and that nothing else looks at or changes.

        It does not depend on the values of plain words. None where an interpolation may depend on anything.
        """
        if self._references is None:
            return None
        joined = self._joined(words)
        return tuple(self._is_free(word, words, joined) for word in words)

    def parts(self, words: Sequence[Word], are_free: Sequence[bool], needed: Sequence[str]) -> list[Part]:
        """The parts of the config with these words; keys that are `needed` are parts also where nothing sets them."""
        joined = self._joined(words)
        parts = []
        for keys in _clusters([*needed, *self._plain, *(word.path[0] for word in words)], joined):
            inside = [i for i, word in enumerate(words) if word.path[0] in keys]
            free = {words[i].path: i for i in inside if are_free[i]}  # the last one counts
            bound = tuple(words[i].text for i in inside if words[i].path not in free)
            made_of = (
                keys,
                tuple(self.pieces[key].text if key in self.pieces else None for key in keys),
                bound,
                tuple(sorted(free)),
            )
            parts.append(Part(keys, made_of, tuple(inside), tuple(free.values())))
        return parts

    def _joined(self, words: Sequence[Word]) -> list[tuple[Path, Path]]:
        """From where to where interpolations lead, those in the words' values too."""
        assert self._references is not None
        return [*self._references, *((word.path, path) for word in words for path in word.references)]

    def _is_free(self, word: Word, words: Sequence[Word], joined: Sequence[tuple[Path, Path]]) -> bool:
        if not word.plain or word.path[0] in TOGETHER or word.path[-1].startswith("_"):
            return False
        value: Any = self._plain
        for name in word.path:
            if not isinstance(value, dict) or name not in value:
                return False
            value = value[name]
        return (
            _is_plain(value)
            and not any(_related(word.path, to) for _, to in joined)
            and not any(
                _related(word.path, other.path) and not (other.plain and other.path == word.path) for other in words
            )
        )

    @cached_property
    def _references(self) -> list[tuple[Path, Path]] | None:
        led = [piece.references for piece in self.pieces.values()]
        return None if None in led else [pair for pairs in led for pair in pairs or ()]


def read(text: str, loader: ConfigLoader) -> Word | None:
    """A word by itself; None for one whose effect only Hydra can tell, or that it refuses."""
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException:
        return None
    key, value = override.key_or_group, None if override.is_delete() else override.value()
    if override.is_sweep_override() or key == "hydra.searchpath":
        return None
    repository = loader.repository  # type: ignore[attr-defined]
    chooses = override.is_hydra_override() or (repository.group_exists(key) and not isinstance(value, dict))
    path = tuple(key.split("."))
    led: list[Path] = []
    for _, inside in [((), value), *walk(value)]:
        more = references(inside, path)
        if more is None:
            return None
        led += more
    plain = override.type is OverrideType.CHANGE and override.package is None and _is_plain(value)
    return Word(text, override, path, chooses, plain, tuple(led))


def references(value: Any, path: Path) -> list[Path] | None:
    """The keys that the interpolations in a value lead to, where the value stands at `path`; None if that is unclear.

    Clear are `${a.b}`, `${.b}`, `${oc.env:...}` and `${oc.select:a.b,...}`, within one another too.
    """
    if not isinstance(value, str) or "${" not in value:
        return []
    found: list[Path] = []
    for head in re.findall(r"\$\{\s*([^{}$]*)", value):
        if head.startswith("oc.env:"):
            continue
        key = head.removeprefix("oc.select:").partition(",")[0] if head.startswith("oc.select:") else head
        match = re.fullmatch(r"(\.*)([\w-]+(?:\.[\w-]+)*)\s*", key)
        if not match:
            return None
        up, names = len(match[1]), tuple(match[2].split("."))
        if up > len(path) or (up and head != key):
            return None
        found.append((*path[: len(path) - up], *names) if up else names)
    return found


def options_are_independent(loader: ConfigLoader) -> bool:
    """Whether no file's defaults list changes, or asks for, what another group chooses."""
    repository = loader.repository  # type: ignore[attr-defined]
    for source in repository.get_sources():
        if source.scheme() == "file":
            for file in FilePath(source.path).rglob("*.yaml"):
                lists = re.findall(r"^defaults:.*(?:\n(?:[ \t#-].*)?)*", file.read_text(encoding="utf-8"), re.MULTILINE)
                if re.search(r"\boverride\s+(?!/?hydra/)|\$\{", "\n".join(lists)):
                    return False
        elif source.scheme() != "structured" and source.path != "hydra.conf":
            return False
    return True


def _piece(key: str, value: Any) -> Piece:
    text, found = json.dumps(value, ensure_ascii=False), list[tuple[Path, Path]]()
    for path, inside in [((), value), *walk(value)]:
        here = (key, *map(str, path))
        led = references(inside, here)
        if led is None:
            return Piece(value, text, None)
        found += [(here, to) for to in led]
    return Piece(value, text, tuple(found))


def _clusters(keys: Sequence[str], joined: Sequence[tuple[Path, Path]]) -> Iterator[tuple[str, ...]]:
    """The top-level keys, those together that interpolations join."""
    together = {key: {key} for key in keys}
    for here, to in joined:
        both = together.setdefault(here[0], {here[0]}) | together.setdefault(to[0], {to[0]})
        for key in both:
            together[key] = both
    yield from dict.fromkeys(tuple(sorted(cluster)) for cluster in together.values())


def _related(one: Path, other: Path) -> bool:
    """Whether one stands in the other."""
    return all(a == b for a, b in zip(one, other))


def _is_plain(value: Any) -> bool:
    """A value without keys, interpolations and `???`, or a list of such."""
    inside = value if isinstance(value, list) else [value]
    return all(
        one is None
        or isinstance(one, (bool, int, float))
        or (isinstance(one, str) and "${" not in one and one != "???")
        for one in inside
    )
