"""A user's mistake in a config or on the command line, told in one line with the nearest valid name."""

import difflib
import os
import traceback
from collections.abc import Iterable


class ConfigError(Exception):
    """Mistakes found before anything was built, one sentence each; the command line prints them and exits with 2."""

    def __init__(self, *problems: str) -> None:
        assert problems
        super().__init__("\n".join(problems))
        self.problems = problems


class SweepFailed(Exception):
    """Some runs of a multirun failed; each has told why at its time."""


def innermost(error: BaseException) -> BaseException:
    """The error that an object raised while Hydra built it, without Hydra's wrapping."""
    while type(error).__name__ == "InstantiationException" and error.__cause__ is not None:
        error = error.__cause__
    return error


def is_users(error: BaseException) -> bool:
    """Whether an error is a sentence for the user: one of these kinds, raised by our own code, or the operating
    system's about a file (no permission, no space left, a folder where a file should be).
    """
    if isinstance(error, ConfigError) or (isinstance(error, OSError) and error.filename is not None):
        return True
    if not isinstance(error, (ValueError, FileNotFoundError, ImportError)):
        return False
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and frames[-1].f_globals.get("__name__", "").partition(".")[0] == "lexigraft"


def wants_traceback() -> bool:
    """Whether the environment asks for tracebacks of errors that are told in a sentence otherwise."""
    return any(os.environ.get(name) == "1" for name in ("LEXIGRAFT_TRACEBACK", "HYDRA_FULL_ERROR"))


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
