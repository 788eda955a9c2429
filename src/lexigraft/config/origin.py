"""Where a value of a composed config came from: a file of conf/, or the command line."""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra._internal.config_repository import ConfigRepository
from hydra.core.config_loader import ConfigLoader
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import OmegaConf

from lexigraft.config import schema
from lexigraft.config.catalog import conf_folder

COMMAND_LINE = "the command line"


class Origin:
    """Files and overrides of one composed config; calling it with a path says where that path was last set."""

    def __init__(self, loader: ConfigLoader, config_name: str, overrides: Sequence[str]) -> None:
        self.loader, self.config_name, self.overrides = loader, config_name, list(overrides)
        self._repository: ConfigRepository = loader.repository  # type: ignore[attr-defined]

    def __call__(self, path: schema.KeyPath) -> str:
        parsed = OverridesParser.create().parse_overrides(self.overrides)
        for override in reversed(parsed):
            key = tuple(override.key_or_group.split("."))
            if tuple(map(str, path[: len(key)])) == key and not self._names_group(override.key_or_group):
                return COMMAND_LINE
        # A path that no file holds is looked for by its parent: that is where a missing key should stand.
        for length in range(len(path), -1, -1):
            for default in reversed(self._defaults):
                if self._holds(default, path[:length]):
                    return self._file(default)
        raise AssertionError("the primary config holds the empty path")

    def files(self, key: str) -> list[str]:
        """The files that a top-level key was composed from, in order."""
        defaults = [d for d in self._defaults if d.package and d.package.split(".")[0] == key]
        return list(dict.fromkeys(self._file(default) for default in defaults))

    def _names_group(self, key: str) -> bool:
        return self._repository.group_exists(key)

    @cached_property
    def _defaults(self) -> list[ResultDefault]:
        found = self.loader.compute_defaults_list(self.config_name, self.overrides, RunMode.RUN)
        return [d for d in found.defaults if d.config_path and not d.config_path.startswith("hydra/")]

    def _holds(self, default: ResultDefault, path: schema.KeyPath) -> bool:
        package = tuple(default.package.split(".")) if default.package else ()
        if tuple(map(str, path[: len(package)])) != package:
            return False
        value: Any = OmegaConf.to_container(self._load(default).config)
        for part in path[len(package) :]:
            in_dict = isinstance(value, dict) and part in value
            in_list = isinstance(value, list) and isinstance(part, int) and part < len(value)
            if not (in_dict or in_list):
                return False
            value = value[part]
        return True

    def _load(self, default: ResultDefault) -> ConfigResult:
        assert default.config_path is not None
        loaded = self._repository.load_config(default.config_path)
        assert loaded is not None, "it was composed from this file"
        return loaded

    def _file(self, default: ResultDefault) -> str:
        folder = Path(str(self._load(default).path).removeprefix("file://"))
        return shown(folder / f"{default.config_path}.yaml")


def shown(file: Path) -> str:
    """A file as the user knows it: conf/... for ours, relative to the working folder where it stands below it."""
    for base, prefix in ((conf_folder(), "conf"), (Path.cwd(), "")):
        if file.is_relative_to(base):
            return os.path.join(prefix, file.relative_to(base).as_posix())
    return str(file)
