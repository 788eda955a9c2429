"""The options that conf/ offers, read as files: for help texts, error messages and completion, without Hydra."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Option:
    """One YAML file of a group; `description` is its first comment line."""

    group: str
    name: str
    description: str
    path: Path


def conf_folder() -> Path:
    """The folder of YAML files: `lexigraft/conf` in an installed wheel, `conf/` of the repository otherwise."""
    packaged = Path(__file__).parents[1] / "conf"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "conf"


def groups(folder: Path) -> list[str]:
    """Groups of `folder` in alphabetical order, nested ones as `model/pooling`."""
    return sorted({option.group for option in options(folder)})


def options(folder: Path, group: str | None = None) -> list[Option]:
    """Options of `group` in `folder`, or of all its groups.

    Primary configs such as train.yaml are no options, nor are files that begin with `_`, which options have in common.
    """
    found = []
    for path in sorted(folder.rglob("*.yaml")):
        name = path.relative_to(folder).parent.as_posix()
        if name != "." and group in (None, name) and not path.stem.startswith("_"):
            found.append(Option(name, path.stem, describe(path), path))
    return found


def describe(path: Path) -> str:
    """The first comment line of a YAML file, "" where it has none; Hydra's own `@package` lines are passed over."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            text = line.lstrip("# ").strip()
            if not line.startswith("#"):
                return ""
            if text and not text.startswith("@package"):
                return text
    return ""
