"""Labels as files write them, by kind (see `text_data.KINDS`), and the classes that they name."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence

from lexigraft.data.text_data import Label

# As read, before classes have numbers: a class name, a number, or several names.
Raw = str | float | tuple[str, ...]

EXPECTED = {
    "class": "one class name or number",
    "order": "one class name or number",
    "several": "class names with | between them, or a list of them,",
    "number": "a number",
    "tags": "tags with spaces between them, or a list of them,",
}
NOT_A_TASK = {"number": "; numbers are for task=regression", "names": "; lists are for task=multilabel or task=tagging"}


def read_label(value: object, kind: str, where: str) -> Raw | None:
    """A label of that kind, None where there is none; `ValueError` naming the place for what is no such label.

    "several" with no class at all is a label: an empty text or list.
    """
    if value is None:
        return None
    if kind == "several":
        return _names(value, "|", kind, where)
    if kind == "tags":
        return _names(value, " ", kind, where) or None
    if kind == "number":
        return _number(value, where)
    if isinstance(value, float) and (value.is_integer() or (kind == "order" and math.isfinite(value))):
        value = f"{value:g}" if kind == "order" else int(value)
    if not isinstance(value, str | int):
        hint = NOT_A_TASK["number" if isinstance(value, float) else "names"]
        raise _refused(value, kind, where, hint if isinstance(value, float | list | tuple) else "")
    return str(value).strip() or None


def read_units(value: object, where: str) -> str:
    """Units (words, characters) as a text with one space between them, from such a text or from a list of units."""
    if value is None:
        return ""
    if isinstance(value, str):
        return " ".join(unit for unit in value.strip("\r\n\t ").split(" ") if unit)
    if not isinstance(value, list | tuple) or not all(isinstance(unit, str) for unit in value):
        raise ValueError(f"{where}: the text column holds {value!r}; units with spaces between them, or a list, are "
                         "expected")  # fmt: skip
    for unit in value:
        if not unit or " " in unit:
            raise ValueError(f"{where}: the unit {unit!r} is empty or holds a space; units without spaces are expected")
    return " ".join(value)


def require_a_tag_each(text: str, tags: Raw, where: str) -> None:
    """`ValueError` if there are not as many tags as units."""
    assert isinstance(tags, tuple)
    units = text.count(" ") + 1 if text else 0
    if units != len(tags):
        raise ValueError(f"{where}: {units} units have {len(tags)} tags; one tag for each unit is expected")


def names_in(labels: Iterable[Raw]) -> set[str]:
    """Every class that some labels name."""
    return {name for raw in labels for name in (raw if isinstance(raw, tuple) else (str(raw),))}


def numbered(raw: Raw, order: Mapping[str, int], kind: str) -> Label:
    """A label by the numbers of its classes."""
    if kind == "number":
        assert isinstance(raw, float)
        return raw
    if isinstance(raw, tuple):
        indices = [order[name] for name in raw]
        return tuple(indices) if kind == "tags" else tuple(sorted(set(indices)))
    return order[str(raw)]


def in_order(names: Iterable[str]) -> list[str]:
    """Sorted by size if all are whole numbers, else by letters."""
    found = set(names)
    whole = all(re.fullmatch(r"[+-]?\d+", name) for name in found)
    return sorted(found, key=lambda name: (int(name), name)) if whole else sorted(found)


def ranked(names: Iterable[str], classes: Sequence[str] | None, where: str) -> tuple[list[str], tuple[str, ...]]:
    """The labels of ranks from the lowest to the highest, and the ranks' names.

    Numbers are in order by themselves and may be named by `classes`; for others `classes` gives the order.
    """
    found = set(names)
    if classes is not None and set(classes) == found:
        return list(classes), tuple(classes)
    try:
        labels = sorted(found, key=lambda name: (float(name), name))
    except ValueError:
        raise ValueError(
            f"{where}: the labels {listed(sorted(found))} are no numbers, so their order is unknown: give it as "
            "data.classes=[lowest,...,highest]"
        ) from None
    return labels, tuple(classes or labels)


def listed(names: Sequence[str], most: int = 20) -> str:
    """Quoted names for a message, the first `most` of them."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(n) for n in names[:most]) + more


def _names(value: object, between: str, kind: str, where: str) -> tuple[str, ...]:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and kind == "several" and value.strip().startswith("["):
        value = _json_list(value, where)
    if isinstance(value, str):
        value = value.split(between)
    if not isinstance(value, list | tuple) or not all(isinstance(name, str | int) for name in value):
        raise _refused(value, kind, where)
    names = tuple(str(name).strip() for name in value)
    return tuple(name for name in names if name)


def _json_list(value: str, where: str) -> list[object]:
    try:
        found = json.loads(value)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: the label column holds {value!r}, which is no JSON list ({error})") from None
    assert isinstance(found, list)
    return found


def _number(value: object, where: str) -> float | None:
    if isinstance(value, str) and not value.strip():
        return None
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise _refused(value, "number", where)
    return number


def _refused(value: object, kind: str, where: str, hint: str = "") -> ValueError:
    return ValueError(f"{where}: the label column holds {value!r}; {EXPECTED[kind]} is expected{hint}")
