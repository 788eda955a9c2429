"""The cells of a study's axes as words of a command line: what is combined with what, and what is left out."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType, Quote, QuotedString, ValueType
from hydra.errors import HydraException

from lexigraft.config.errors import ConfigError, did_you_mean, nearest
from lexigraft.config.schema import shown_value
from lexigraft.studies.study import Axis, Condition, Study

Labels = dict[str, str]
Words = tuple[str, ...]


def cells_of(study: Study, overrides: Sequence[str] = ()) -> list[tuple[Labels, Words]]:
    """Labels and words of each cell, row-major in the order of the axes; the words are base, axes, then `overrides`.

    An override whose key is an axis replaces its values (of an axis of names: keeps those), all others are words of
    every cell. `ConfigError` for words that cannot be read, and where `skip` leaves no cell.
    """
    axes, added = narrowed(study, overrides)
    columns = [[(name, label, words) for label, words in places(name, axis).items()] for name, axis in axes.items()]
    cells = []
    for combination in itertools.product(*columns):
        labels = {name: label for name, label, _ in combination}
        if not any(holds(condition, labels) for condition in study.skip):
            of_axes = itertools.chain.from_iterable(words for _, _, words in combination)
            cells.append((labels, (*study.base, *of_axes, *added)))
    if not cells:
        raise ConfigError(f"'skip' leaves no cell of study {study.name}: loosen its conditions")
    return cells


def places(name: str, axis: Axis) -> dict[str, Words]:
    """The labels of an axis, and the words that each stands for."""
    if isinstance(axis, dict):
        return {label: tuple(words) for label, words in axis.items()}
    return {label_of(value): (word(name, value),) for value in axis}


def holds(condition: Condition, labels: Mapping[str, str]) -> bool:
    """Whether a cell of these labels has, on every axis of the condition, its value or one of its values."""
    return all(labels.get(axis) in wanted(value) for axis, value in condition.items())


def wanted(value: Any) -> list[str]:
    """The labels that a condition allows on one axis."""
    return [label_of(one) for one in value] if isinstance(value, list) else [label_of(value)]


def label_of(value: Any) -> str:
    """A value as YAML would write it on one line."""
    return f"[{', '.join(map(label_of, value))}]" if isinstance(value, list) else shown_value(value)


def word(key: str, value: Any) -> str:
    """`key=value` such that Hydra reads the very value again, its type included."""
    return f"{key}={_written(value)}"


def read_word(text: str, place: str) -> Override:
    """A word as Hydra reads it; `ConfigError`, which says that it stands in `place`, where it cannot."""
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException as error:
        key, equals, value = text.partition("=")
        hint = f"quote a value with special characters, {key}='\"{value}\"'" if equals else "write key=value"
        raise ConfigError(f"cannot read '{text}' in {place}: {hint}") from error


def narrowed(study: Study, overrides: Sequence[str]) -> tuple[dict[str, Axis], Words]:
    """The axes as `overrides` leave them, and those of the overrides that are words of every cell."""
    axes, added = dict(study.axes), []
    for text in overrides:
        read = read_word(text, "the command line")
        key = read.get_key_element()
        if key in study.axes and read.type is OverrideType.CHANGE:
            axes[key] = _chosen(study.axes[key], key, text, read)
        elif read.is_sweep_override():
            raise ConfigError(
                f"'{text}' holds several values, and '{key}' is not an axis of study {study.name}, which has "
                f"{', '.join(study.axes)}{did_you_mean(*nearest(key, study.axes))}"
            )
        else:
            added.append(text)
    return axes, tuple(added)


def _chosen(axis: Axis, key: str, text: str, read: Override) -> Axis:
    values = list(_values(text, read))
    labels = [label_of(value) for value in values]
    if twice := [label for i, label in enumerate(labels) if label in labels[:i]]:
        raise ConfigError(f"'{text}' in the command line names {twice[0]} twice")
    if isinstance(axis, list):
        return values
    for label in labels:
        if label not in axis:
            hint = did_you_mean(*nearest(label, axis))
            raise ConfigError(f"axis '{key}' has no '{label}'{hint or ';'} it has {', '.join(axis)}")
    return {label: axis[label] for label in labels}


def _values(text: str, read: Override) -> Iterator[Any]:
    if read.value_type is ValueType.ELEMENT:
        yield read.value()
        return
    if read.value_type is ValueType.GLOB_CHOICE_SWEEP or not read.is_discrete_sweep():
        raise ConfigError(f"'{text}' in the command line: write the values of an axis one by one, with commas between")
    for value in read.sweep_iterator():
        yield Override._convert_value(value)  # of a quoted text, the text


def _written(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    if isinstance(value, str):
        return value if _reads_bare(value) else QuotedString(text=value, quote=Quote.single).with_quotes()
    return repr(value) if isinstance(value, float) else shown_value(value)


@lru_cache(maxsize=4096)
def _reads_bare(text: str) -> bool:
    """Whether Hydra reads a text without quotes as this very text, on its own and within a list."""
    if not text or text != text.strip() or set(text) & set("${}"):
        return False
    parser = OverridesParser.create()
    try:
        return bool(
            parser.parse_override(f"x={text}").value() == text
            and parser.parse_override(f"x=[{text}]").value() == [text]
        )
    except HydraException:
        return False
