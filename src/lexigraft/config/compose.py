"""Composition of a command line's configs, before `hydra.main` repeats it: every mistake of every job, at once."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from lexigraft.config.catalog import conf_folder, groups
from lexigraft.config.errors import ConfigError, by_likeness, did_you_mean, nearest, nearest_key
from lexigraft.config.origin import Origin, shown
from lexigraft.config.schema import Where, dotted, walk
from lexigraft.config.signatures import target_problems

COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException, yaml.YAMLError)
# Of conf/hydra/launcher: all of them, whose jobs are processes of their own.
POOL_LAUNCHER = "hydra_plugins.lexigraft_launchers.PoolLauncher"


class UserFolders(SearchPathPlugin):
    """Shows Hydra the folders of LEXIGRAFT_CONF, after conf/."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in filter(None, os.environ.get("LEXIGRAFT_CONF", "").split(os.pathsep)):
            search_path.append("lexigraft", f"file://{folder}")


Plugins.instance().register(UserFolders)


def extend_conf(config_dirs: Sequence[str]) -> None:
    """Let the folders of `--config-dir` and LEXIGRAFT_CONF extend conf/, here and in processes started from here.

    `ConfigError` for a folder that does not exist, and for a file that conf/ would hide.
    """
    inherited = [folder for folder in os.environ.get("LEXIGRAFT_CONF", "").split(os.pathsep) if folder]
    named = [("--config-dir", folder) for folder in config_dirs] + [("LEXIGRAFT_CONF", f) for f in inherited]
    own = conf_folder()
    for source, folder in named:
        if not Path(folder).is_dir():
            raise ConfigError(f"{source} names '{folder}', which is not a folder")
        for file in Path(folder).rglob("*.yaml"):
            relative = file.relative_to(folder)
            if (own / relative).exists() and not file.samefile(own / relative):
                raise ConfigError(
                    f"{shown(file.absolute())} would be hidden by lexigraft's own conf/{relative.as_posix()}: "
                    "give it another name"
                )
    folders = dict.fromkeys(str(Path(folder).absolute()) for _, folder in named)
    os.environ["LEXIGRAFT_CONF"] = os.pathsep.join(folders)


@contextmanager
def loader() -> Iterator[ConfigLoader]:
    """Hydra's config loader over conf/."""
    with initialize_config_dir(str(conf_folder()), job_name="lexigraft", version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


def jobs(config_name: str, overrides: Sequence[str], multirun: bool) -> Iterator[tuple[DictConfig, Origin]]:
    """The config of every job that a line starts (`hydra` node included), and where its values came from.

    Call it within `loader()`. The jobs of a sweeper other than Hydra's basic one are not known beforehand: then only
    the fixed part of the line is composed. `ConfigError` for whatever does not compose.
    """
    parsed = _parse(overrides)
    swept = [_text(o) for o in parsed if o.is_sweep_override()]
    fixed = [_text(o) for o in parsed if not o.is_sweep_override()]
    first = _compose(config_name, fixed)
    multirun = multirun or first.hydra.mode == RunMode.MULTIRUN
    if swept and not multirun:
        key = swept[0].partition("=")[0]
        raise ConfigError(
            f"'{swept[0]}' holds several values: add -m for one run each, or write {key}=[...] for a list"
        )
    if not multirun or not first.hydra.sweeper._target_.endswith(".BasicSweeper"):
        yield first, _origin(config_name, fixed)
        return
    params = [f"{key}={value}" for key, value in (first.hydra.sweeper.params or {}).items()]
    try:
        batches = BasicSweeper.split_arguments(_parse([*params, *overrides]), None)
    except HydraException as error:
        raise ConfigError(str(error)) from error
    for number, arguments in enumerate(job for batch in batches for job in batch):
        yield _compose(config_name, [*arguments, "hydra.mode=MULTIRUN"], number), _origin(config_name, arguments)


def refuse_devices_under_multirun(hydra_node: Any, cfg: DictConfig) -> None:
    """`ConfigError` for several processes a run in a sweep whose runs share one process, and with it what is left of
    the run before."""
    name = hydra_node.launcher._target_.rpartition(".")[2]
    hardware = OmegaConf.select(cfg, "hardware") or {}
    several = [f"hardware.{key}={hardware.get(key)}" for key in ("devices", "nodes") if hardware.get(key, 1) != 1]
    if hydra_node.mode == RunMode.MULTIRUN and name in ("BasicLauncher", "JoblibLauncher") and several:
        raise ConfigError(
            f"{several[0]} cannot be combined with hydra/launcher={name.removesuffix('Launcher').lower()}, whose runs "
            "share a process: use hydra/launcher=processes, or hardware.devices=1"
        )


def launcher_problems(cfg: DictConfig, where: Where) -> list[str]:
    """A sentence for each key of `hydra.launcher` that the pool of our launchers does not take, or in another type."""
    launcher = OmegaConf.to_container(cfg.hydra.launcher, resolve=True)
    assert isinstance(launcher, dict)
    if launcher["_target_"] != POOL_LAUNCHER:
        return []
    launcher["_target_"] = launcher.pop("pool")
    return target_problems(launcher, where, ("hydra", "launcher"))


def _origin(config_name: str, overrides: Sequence[str]) -> Origin:
    return Origin(GlobalHydra.instance().config_loader(), config_name, overrides)


def _text(override: Override) -> str:
    """An override as it was typed."""
    assert override.input_line is not None
    return override.input_line


def _parse(overrides: Sequence[str]) -> list[Override]:
    parsed = []
    for text in overrides:
        try:
            parsed += OverridesParser.create().parse_overrides([text])
        except OverrideParseException as error:
            if "=" not in text:
                raise ConfigError(f"'{text}' is not an override: write key=value") from error
            key, _, value = text.partition("=")
            hint = f"quote a value with special characters, {key}='\"{value}\"'"
            if '"' in value:
                hint = "check its quotes and brackets (a name before a colon in {...} stands without quotes)"
            raise ConfigError(f"cannot read '{text}' on the command line: {hint}") from error
    for override in parsed:
        if override.is_delete() and re.search(r"\.\d+$", override.key_or_group):
            raise ConfigError(
                f"'{_text(override)}' in the command line: an entry of a list cannot be taken out; give the whole "
                f"list, {override.key_or_group.rpartition('.')[0]}=[...]"
            )
    return parsed


def _compose(config_name: str, overrides: Sequence[str], number: int = 0) -> DictConfig:
    try:
        cfg = compose(config_name, list(overrides), return_hydra_config=True)
    except COMPOSITION_ERRORS as error:
        raise ConfigError(*explain(error, config_name, overrides)) from error
    except ValueError as error:  # `model=null`
        raise ConfigError(f"the command line: {error}") from error
    with open_dict(cfg):
        cfg.hydra.job.num, cfg.hydra.job.id = number, str(number)  # for ${hydra:job.num}, which a launcher will set
    HydraConfig.instance().set_config(cfg)
    return cfg


def explain(error: Exception, config_name: str, overrides: Sequence[str]) -> list[str]:
    """An error of Hydra, OmegaConf or YAML as sentences, without Hydra's advice to hide a typo by `+`."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        file = shown(Path(mark.name).absolute())
        return [f"{file}, line {mark.line + 1}: not valid YAML: {error.problem}"]
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return [_unknown_option(error)]
    text = str(error)
    if match := re.search(r"Could not override '([^']+)'", text):
        if "@" in match[1]:
            return [_unknown_package(match[1], text)]
        if "/" in match[1] or "No match in the defaults list" in text:
            return [_unknown_group(match[1], config_name)]
        if unknown := _unknown_keys(config_name, overrides):
            return unknown
    if match := re.search(r"An item is already at '([^']+)'", text):
        return [f"'{match[1]}' exists already: leave out the + before it"]
    if match := re.search(r"Could not delete from config. '([^']+)' does not exist", text):
        return [f"'~{match[1]}' in the command line: there is no such key to delete"]
    lines = [line.strip() for line in f"{text}\n{error.__cause__ or ''}".splitlines()]
    kept = [line for line in lines if line and not re.match(r"To (append|add)|full_key:|object_type|See http", line)]
    if isinstance(error, OmegaConfBaseException) or isinstance(error.__cause__, OmegaConfBaseException):
        kept = [f"{_unreadable_file()}:", *kept]
    return [" ".join(kept)]


def _unknown_option(error: MissingConfigException) -> str:
    group, _, name = str(error.missing_cfg_file).rpartition("/")
    if not group:
        return (
            f"there is no primary config '{name}'; conf/ has train, pretrain and transplant, --config-dir may add "
            "others"
        )
    # A name that begins with _ is of what options share.
    known = by_likeness(name, [option for option in error.options or [] if not option.startswith("_")])
    hint = did_you_mean(*nearest(name, known)) or ";"
    return f"unknown option '{group}={name}'{hint} {group} has {', '.join(known)}"


def _unknown_group(group: str, config_name: str) -> str:
    known = groups(conf_folder())
    if group in known:
        return f"'{group}' is not a part of {config_name}.yaml, which the command line asks to change"
    return f"unknown group '{group}' in the command line{did_you_mean(*nearest(group, known))}"


def _unknown_package(choice: str, text: str) -> str:
    """Of an option for a place that the config does not have, such as `source@transplant.spaces.donr`."""
    group = choice.partition("@")[0]
    listed = re.search(r"Did you mean to override (?:one of )?(.+?)\??$", text, re.MULTILINE)
    places = [name for name in (listed[1].split(", ") if listed else []) if name.startswith(f"{group}@")]
    hint = did_you_mean(*nearest(choice, places)) or f"; write +{choice}=... to give this config a new part"
    return f"'{choice}' is not a part of this config{hint}"


def _unknown_keys(config_name: str, overrides: Sequence[str]) -> list[str]:
    """A sentence for each override whose key the config without it does not have."""
    parsed = _parse(overrides)
    repository = GlobalHydra.instance().config_loader().repository  # type: ignore[attr-defined]
    selects = [o for o in parsed if repository.group_exists(o.key_or_group)]
    base = compose(config_name, [_text(o) for o in selects], return_hydra_config=True)
    everywhere = [dotted(path) for path, _ in walk(OmegaConf.to_container(base))]
    problems = []
    for override in parsed:
        key = override.key_or_group
        if override in selects or override.is_add() or override.is_force_add() or key in everywhere:
            continue
        parent = key.rpartition(".")[0]
        siblings = [other.rpartition(".")[2] for other in everywhere if other.rpartition(".")[0] == parent]
        ours = [other for other in everywhere if not other.startswith("hydra.")]
        hint = did_you_mean(*nearest_key(key, siblings, ours))
        problems.append(f"unknown key '{key}' in the command line{hint}")
    return problems


def _unreadable_file() -> str:
    """The file that OmegaConf cannot read; the command line, if it reads them all."""
    repository = GlobalHydra.instance().config_loader().repository  # type: ignore[attr-defined]
    for source in repository.get_sources():
        for file in Path(source.path).rglob("*.yaml") if source.scheme() == "file" else ():
            try:
                OmegaConf.load(file)
            except yaml.YAMLError:
                continue  # not a file of this config: Hydra would have told of it
            except OmegaConfBaseException:
                return shown(file)
    return "the command line"
