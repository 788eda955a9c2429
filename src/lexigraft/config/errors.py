"""A user's mistake in a config or on the command line, told in one line with the nearest valid name."""

import difflib
from collections.abc import Iterable


class ConfigError(Exception):
    """Mistakes found before anything was built, one sentence each; the command line prints them and exits with 2."""

    def __init__(self, *problems: str) -> None:
        assert problems
        super().__init__("\n".join(problems))
        self.problems = problems


def nearest(name: str, known: Iterable[str], n: int = 1, cutoff: float = 0.6) -> list[str]:
    """The `n` known names most like `name`, best first."""
    return difflib.get_close_matches(name, list(known), n=n, cutoff=cutoff)


def by_likeness(name: str, known: Iterable[str]) -> list[str]:
    """All known names, those most like `name` first."""
    return sorted(known, key=lambda other: -difflib.SequenceMatcher(None, name, other).ratio())


def did_you_mean(*names: str) -> str:
    """`; did you mean 'a' or 'b'?`, and nothing for no names."""
    return f"; did you mean {' or '.join(map(repr, names))}?" if names else ""


def nearest_key(key: str, siblings: Iterable[str], everywhere: Iterable[str]) -> list[str]:
    """Dotted keys that may be meant by `key`: a sibling with a like name, else a key of that name elsewhere.

    `siblings` are the names that stand where `key` was put, `everywhere` the dotted keys of the whole config.
    """
    parent, _, name = key.rpartition(".")
    prefix = parent + "." if parent else ""
    elsewhere = list(everywhere)
    same_name = [other for other in elsewhere if other.rpartition(".")[2] == name]
    if close := nearest(name, siblings, cutoff=0.75):
        return [prefix + close[0]]
    if same_name:
        return same_name[:3]
    if close := nearest(name, siblings):
        return [prefix + close[0]]
    leaves = {other.rpartition(".")[2]: other for other in elsewhere}
    return [leaves[leaf] for leaf in nearest(name, leaves, cutoff=0.75)]
