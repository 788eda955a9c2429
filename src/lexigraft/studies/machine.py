"""What ties records to the machine that wrote them: its paths, its names, its packages."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import Version

# What stands before and after a path: /home/me is not meant in https://host/home/me, nor in /home/meyer.
_BEFORE, _AFTER = r"(?<![\w.~/-])", r"(?![\w-]|\.\w)"


class Paths:
    """Replaces absolute paths of this machine by what they are called elsewhere, the longest first."""

    def __init__(self, names: Mapping[Path, str]) -> None:
        known = {str(path): name for path, name in names.items() if path.is_absolute() and len(path.parts) > 1}
        self._names = known
        longest = sorted(known, key=len, reverse=True)
        self._pattern = re.compile(_BEFORE + f"({'|'.join(map(re.escape, longest))})" + _AFTER) if longest else None

    def replaced(self, text: str) -> str:
        """`text` without them."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: self._names[found[0]], text)

    def first(self, text: str) -> str | None:
        """The first of them in a text."""
        found = self._pattern.search(text) if self._pattern is not None else None
        return found and found[0]


@cache
def locked(package: str = "lexigraft") -> tuple[str, ...]:
    """`name==version` of all that a package needs here, and of what its extras brought, in alphabetical order.

    Without the package itself, and without the local part of a version, such as +cpu, which names an index. All that is
    installed where the package is not.
    """
    here = {_plain(found.metadata["Name"]): found for found in metadata.distributions() if found.metadata["Name"]}
    own = _plain(package)
    if own not in here:
        wanted = set(here)
    else:
        # What only tests and other tools need is in `dev`.
        extras = {extra for extra in here[own].metadata.get_all("Provides-Extra") or [] if extra != "dev"}
        wanted = _needed(own, extras, here) - {own}
    return tuple(sorted(f"{here[name].metadata['Name']}=={Version(here[name].version).public}" for name in wanted))


def _needed(name: str, extras: Iterable[str], here: Mapping[str, metadata.Distribution]) -> set[str]:
    """A distribution and all that it needs with its extras, of what is installed."""
    found: set[str] = set()
    open_ends = [(name, frozenset(extras))]
    seen: set[tuple[str, frozenset[str]]] = set()
    while open_ends:
        end = open_ends.pop()
        if end in seen or end[0] not in here:
            continue
        seen.add(end)
        found.add(end[0])
        for text in here[end[0]].requires or []:
            try:
                needed = Requirement(text)
            except InvalidRequirement:
                continue
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *end[1])):
                open_ends.append((_plain(needed.name), frozenset(needed.extras)))
    return found


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
