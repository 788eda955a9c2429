"""Where a value of a composed config came from: a file of conf/, or the command line."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import OmegaConf

from lexigraft.config import schema
from lexigraft.config.catalog import conf_folder

COMMAND_LINE = "the command line"


class Origin:
    """Files and overrides of one composed config; calling it with a path says where that path was last set."""

    def __init__(self, loader: ConfigLoader, config_name: str, overrides: Sequence[str]) -> None:
        self.loader, self.config_name, self.overrides = loader, config_name, list(overrides)

    def __call__(self, path: schema.KeyPath) -> str:
        parsed = OverridesParser.create().parse_overrides(self.overrides)
        for override in reversed(parsed):
            key = tuple(override.key_or_group.split("."))
            if tuple(map(str, path[: len(key)])) == key and not self._names_group(override.key_or_group):
                return COMMAND_LINE
        # A path that no file holds is looked for by its parent: that is where a missing key should stand.
        while path:
            for default in reversed(self._defaults()):
                if self._holds(default, path):
                    return self._file(default)
            path = path[:-1]
        return f"{self.config_name}.yaml"

    def files(self, key: str) -> list[str]:
        """The files that a top-level key was composed from, in order."""
        defaults = [d for d in self._defaults() if d.package and d.package.split(".")[0] == key]
        return list(dict.fromkeys(self._file(default) for default in defaults))

    def _names_group(self, key: str) -> bool:
        return self.repository().group_exists(key)

    def _defaults(self) -> list[ResultDefault]:
        found = self.loader.compute_defaults_list(self.config_name, self.overrides, RunMode.RUN)
        return [d for d in found.defaults if d.config_path and not d.config_path.startswith("hydra/")]

    def repository(self) -> Any:
        """Hydra's access to the files, those of user folders included."""
        # The only way to the files of `hydra.searchpath`, which is how --config-dir reaches Hydra.
        return self.loader._parse_overrides_and_create_caching_repo(  # type: ignore[attr-defined]
            self.config_name, self.overrides
        )[1]

    def _holds(self, default: ResultDefault, path: schema.KeyPath) -> bool:
        package = tuple(default.package.split(".")) if default.package else ()
        if tuple(map(str, path[: len(package)])) != package:
            return False
        value: Any = OmegaConf.to_container(self.repository().load_config(default.config_path).config)
        for part in path[len(package) :]:
            in_dict = isinstance(value, dict) and part in value
            in_list = isinstance(value, list) and isinstance(part, int) and part < len(value)
            if not (in_dict or in_list):
                return False
            value = value[part]
        return True

    def _file(self, default: ResultDefault) -> str:
        loaded = self.repository().load_config(default.config_path)
        folder = Path(str(loaded.path).removeprefix("file://"))
        return shown(folder / f"{default.config_path}.yaml")


def shown(file: Path) -> str:
    """A file as the user knows it: conf/... for ours, relative to the working folder where it stands below it."""
    for base, prefix in ((conf_folder(), "conf"), (Path.cwd(), "")):
        if file.is_relative_to(base):
            return os.path.join(prefix, file.relative_to(base).as_posix())
    return str(file)
