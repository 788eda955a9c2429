"""Flags may stand anywhere on a Hydra command line: they are told from overrides here, before Hydra sees them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from lexigraft.config.errors import ConfigError, did_you_mean, nearest

SHORT = {
    "-h": "--help",
    "-m": "--multirun",
    "-r": "--run",
    "-c": "--cfg",
    "-p": "--package",
    "-i": "--info",
    "-cn": "--config-name",
    "-cd": "--config-dir",
    "-sc": "--shell-completion",
}
WITHOUT_VALUE = {"--help", "--hydra-help", "--version", "--multirun", "--run", "--resolve", "--shell-completion"}
WITH_VALUE = {"--cfg", "--package", "--info", "--config-name", "--config-dir"}
FLAGS = sorted(WITHOUT_VALUE | WITH_VALUE)
VALUES = {
    "--cfg": ["job", "hydra", "all"],
    "--info": ["all", "config", "defaults", "defaults-tree", "plugins", "searchpath"],
}
# Marks by which a value says that it is more than one text.
GRAMMAR = ",[]{}()'\"\\$="
# What a line asks for instead of one run: at most one of them.
MODES = ("--multirun", "--run", "--cfg", "--info", "--shell-completion")


@dataclass
class Line:
    """A command line after its command word: overrides in order, and flags by their long names."""

    overrides: list[str] = field(default_factory=list)
    flags: dict[str, str | None] = field(default_factory=dict)
    config_dirs: list[str] = field(default_factory=list)

    def hydra_arguments(self) -> list[str]:
        """The line as Hydra wants it, flags first."""
        words = [name if value is None else f"{name}={value}" for name, value in self.flags.items()]
        return words + self.overrides


def split(words: Sequence[str]) -> Line:
    """Flags and overrides of `words`; `ConfigError` for an unknown flag or a flag without its value."""
    line = Line()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            line.overrides.append(_quoted(word))
            continue
        name, equals, given = word.partition("=")
        name = SHORT.get(name, name)
        if name not in FLAGS:
            raise ConfigError(f"unknown flag '{name}'{did_you_mean(*nearest(name, FLAGS))}")
        value = given if equals else None
        if name in WITHOUT_VALUE and equals:
            raise ConfigError(f"flag {name} takes no value, but got '{given}'")
        if name == "--info" and value is None:
            value = rest.pop(0) if rest and rest[0] in VALUES[name] else "all"
        elif name in WITH_VALUE and value is None:
            if not rest:
                raise ConfigError(f"flag {name} needs a value{_choices(name)}")
            value = rest.pop(0)
        if name in VALUES and value not in VALUES[name]:
            raise ConfigError(f"flag {name} does not know '{value}'{_choices(name)}")
        if name == "--config-dir":
            line.config_dirs.append(str(value))
        else:
            line.flags[name] = value
    modes = [name for name in MODES if name in line.flags]
    if len(modes) > 1:
        raise ConfigError(f"flags {' and '.join(modes)} exclude each other")
    if "--resolve" in line.flags and "--cfg" not in line.flags:
        raise ConfigError("flag --resolve belongs to --cfg: try --cfg job --resolve")
    return line


def _quoted(word: str) -> str:
    """An override whose value Hydra can read: one with spaces or letters beyond ASCII (`data.root=~/数据`) is quoted.

    Lists, sweeps and what holds marks of Hydra's grammar stay as they are.
    """
    key, equals, value = word.partition("=")
    if not equals or set(value) & set(GRAMMAR) or (value.isascii() and " " not in value):
        return word
    return f"{key}='{value}'"


def _choices(name: str) -> str:
    return f": one of {', '.join(VALUES[name])}" if name in VALUES else ""
