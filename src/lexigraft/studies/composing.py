"""Many configs of one command composed and checked quickly, each exactly as Hydra and preflight would do it alone.

Hydra composes once for each choice of options; the other words are put into a copy of that. And what preflight says of
a part of a config, or of one value in it, is said once: parts that no interpolation joins do not know of each other.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cached_property
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from lexigraft.config.across import across_problems
from lexigraft.config.compose import COMPOSITION_ERRORS, jobs
from lexigraft.config.errors import ConfigError
from lexigraft.config.origin import Origin
from lexigraft.config.preflight import SCHEMAS, preflight, somewhere, without_hydra
from lexigraft.config.schema import KeyPath, Node
from lexigraft.studies.parts import Base, Part, Path, Word, options_are_independent, read

Unit = tuple[int, str]  # what a part is made of, by its number, and a free word; "" for the part without those


def composed(config_name: str, words: Sequence[str]) -> Node:
    """The plain values of one config, resolved and checked; `ConfigError` with its mistakes. Call it within `loader()`.

    What `Composer` returns is held against it.
    """
    [(cfg, origin)] = jobs(config_name, words, multirun=False)
    return _values(preflight(without_hydra(cfg), SCHEMAS[config_name], origin))


class Composer:
    """`composed` for many lines of words that have much in common. Make and use it within `loader()`.

    The configs that it returns share values, which must not be changed.
    """

    def __init__(self, config_name: str) -> None:
        self._name, self._schema = config_name, SCHEMAS[config_name]
        self._loader = GlobalHydra.instance().config_loader()
        self._order = [field.name for field in fields(self._schema)]
        self._words: dict[str, Word | None] = {}
        self._bases: dict[tuple[str, ...], Base | ConfigError] = {}
        self._free: dict[Any, tuple[bool, ...] | None] = {}
        self._shapes: dict[Any, list[tuple[int, Part]]] = {}
        self._numbers: dict[Any, int] = {}
        self._parts: dict[int, Node] = {}  # checked, by number
        self._leaves: dict[Unit, Any] = {}  # checked values of free words
        self._wrong: dict[Unit, tuple[str, ...]] = {}
        self._seen: set[Unit] = set()  # looked at beside something wrong, and not blamed

    def __call__(self, words: Sequence[str]) -> Node:
        """The plain values of the config of these words; `ConfigError` with its mistakes."""
        known = [word for text in words if (word := self._word(text)) is not None]
        base = self._base(tuple(word.text for word in known if word.chooses)) if len(known) == len(words) else None
        rest = [word for word in known if not word.chooses]
        parts = self._taken_apart(base, rest) if base else None
        if base is None or parts is None:
            return composed(self._name, words)
        if not self._problems(parts, rest):
            if all(map(self._is_checked, self._units(parts, rest))):
                whole = self._put_together(parts, rest)
                return composed(self._name, words) if across_problems(whole, somewhere) else whole
            if self._check_whole(base, parts, rest):
                return self._put_together(parts, rest)
        faultless = self._faultless
        for number, part in parts:
            units = list(self._units([(number, part)], rest))
            if not all(self._is_checked(unit) or unit in self._wrong or unit in self._seen for unit in units):
                self._check_alone(base, number, part, rest, faultless)
        if problems := self._problems(parts, rest):
            raise ConfigError(*problems)
        return composed(self._name, words)  # no part is wrong by itself

    def _word(self, text: str) -> Word | None:
        if text not in self._words:
            self._words[text] = read(text, self._loader)
        return self._words[text]

    def _base(self, choices: tuple[str, ...]) -> Base:
        """The config of some options; `ConfigError` where they do not compose."""
        if choices not in self._bases:
            try:
                self._bases[choices] = self._combined(choices) or self._composed(choices)
            except ConfigError as error:
                self._bases[choices] = error
        found = self._bases[choices]
        if isinstance(found, ConfigError):
            raise ConfigError(*found.problems)
        return found

    def _composed(self, choices: tuple[str, ...]) -> Base:
        [(cfg, _)] = jobs(self._name, choices, multirun=False)
        return Base.of(choices, without_hydra(cfg))

    def _combined(self, choices: tuple[str, ...]) -> Base | None:
        """Options of several top-level keys, each composed without the others; None where it has to be done at once."""
        of: dict[str, list[str]] = {}
        for text in choices:
            override = self._words[text].override  # type: ignore[union-attr]
            if override.is_hydra_override():
                return None
            place = override.package or override.key_or_group.replace("/", ".")
            of.setdefault(place.split(".")[0], []).append(text)
        if len(of) < 2 or not self._independent:
            return None
        return Base.put_together(choices, self._base(()), {key: self._base(tuple(own)) for key, own in of.items()})

    @cached_property
    def _independent(self) -> bool:
        return options_are_independent(self._loader)

    def _taken_apart(self, base: Base, rest: Sequence[Word]) -> list[tuple[int, Part]] | None:
        """The parts with their numbers, which lines share that differ in the values of free words alone."""
        paths = (base.choices, *(word.path if word.plain else word.text for word in rest))
        if paths not in self._free:
            self._free[paths] = base.free(rest)
        free = self._free[paths]
        if free is None:
            return None
        shape = (base.choices, *(word.path if is_free else word.text for word, is_free in zip(rest, free)))
        if shape not in self._shapes:
            numbers, found = self._numbers, base.parts(rest, free, self._order)
            self._shapes[shape] = [(numbers.setdefault(part.made_of, len(numbers)), part) for part in found]
        return self._shapes[shape]

    def _units(self, parts: Sequence[tuple[int, Part]], rest: Sequence[Word]) -> Iterator[Unit]:
        for number, part in parts:
            yield number, ""
            for i in part.free:
                yield number, rest[i].text

    def _is_checked(self, unit: Unit) -> bool:
        return unit in self._leaves if unit[1] else unit[0] in self._parts

    def _problems(self, parts: Sequence[tuple[int, Part]], rest: Sequence[Word]) -> list[str]:
        """What is known to be wrong."""
        if not self._wrong:
            return []
        return list(dict.fromkeys(p for unit in self._units(parts, rest) for p in self._wrong.get(unit, ())))

    def _put_together(self, parts: Sequence[tuple[int, Part]], rest: Sequence[Word]) -> Node:
        found: Node = {}
        for number, part in parts:
            values = self._parts[number]
            for i in part.free:
                values = _replaced(values, rest[i].path, self._leaves[number, rest[i].text])
            found |= values
        return {key: found[key] for key in self._order if key in found}

    def _remember(self, number: int, part: Part, rest: Sequence[Word], values: Node) -> None:
        self._parts.setdefault(number, {key: values[key] for key in part.keys if key in values})
        for i in part.free:
            value: Any = values
            for name in rest[i].path:
                value = value[name]
            self._leaves[number, rest[i].text] = value

    def _check_whole(self, base: Base, parts: Sequence[tuple[int, Part]], rest: Sequence[Word]) -> bool:
        """Whether nothing is wrong with a config; then its parts are remembered."""
        try:
            values = _values(preflight(base.changed(rest), self._schema))
        except (ConfigError, *COMPOSITION_ERRORS):
            return False
        for number, part in parts:
            self._remember(number, part, rest, values)
        return True

    def _check_alone(self, base: Base, number: int, part: Part, rest: Sequence[Word], faultless: Node | None) -> None:
        """One part checked within a config in which nothing else is wrong; its words are blamed for what they set."""
        words = [rest[i] for i in part.words]
        line = [*base.choices, *(word.text for word in words)]
        try:
            cfg = base.changed(words)
        except COMPOSITION_ERRORS:
            try:
                composed(self._name, line)
            except ConfigError as error:
                self._wrong[number, ""] = error.problems
            return
        if faultless is None:
            return
        values = OmegaConf.to_container(cfg)
        assert isinstance(values, dict)
        others = {key: value for key, value in faultless.items() if key not in part.keys}
        marks: list[KeyPath] = []

        def mark(path: KeyPath) -> str:
            marks.append(path)
            return f"\0{len(marks) - 1}\0"

        moved = OmegaConf.create(others | {str(key): values[key] for key in values if key in part.keys})
        try:
            checked = preflight(moved, self._schema, mark)
        except ConfigError as error:
            origin = Origin(self._loader, self._name, line)
            free = {rest[i].path: rest[i].text for i in part.free}
            for problem in error.problems:
                paths = [marks[int(number)] for number in re.findall("\0(\\d+)\0", problem)]
                text = re.sub("\0(\\d+)\0", lambda found: origin(marks[int(found[1])]), problem)
                unit = number, next(filter(None, (_setter(path, free) for path in paths)), "")
                self._wrong[unit] = tuple(dict.fromkeys((*self._wrong.get(unit, ()), text)))
            self._seen.update(self._units([(number, part)], rest))
        else:
            self._remember(number, part, rest, _values(checked))

    @cached_property
    def _faultless(self) -> Node | None:
        """The config of no words, whose parts are remembered; None if that is not faultless here."""
        try:
            base = self._base(())
            values = _values(preflight(base.changed([]), self._schema))
        except ConfigError:
            return None
        for number, part in self._taken_apart(base, []) or ():
            self._remember(number, part, [], values)
        return values


def _setter(path: KeyPath, free: dict[Path, str]) -> str | None:
    """The free word that sets what stands at a path."""
    names = tuple(map(str, path))
    return next((free[names[:length]] for length in range(len(names), 0, -1) if names[:length] in free), None)


def _replaced(values: Node, path: Path, value: Any) -> Node:
    """A copy with another value at a path; what lies beside the path is shared."""
    name, *rest = path
    return {**values, name: _replaced(values[name], tuple(rest), value) if rest else value}


def _values(cfg: DictConfig) -> Node:
    values = OmegaConf.to_container(cfg)
    assert isinstance(values, dict)
    return values  # type: ignore[return-value]
