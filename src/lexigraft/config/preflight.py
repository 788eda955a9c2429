"""Everything that can be said about a composed config before data or a model is touched."""

from collections.abc import Mapping
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lexigraft.config.across import across_problems
from lexigraft.config.errors import ConfigError, did_you_mean, nearest_key
from lexigraft.config.hardware import hardware_problems, with_counts
from lexigraft.config.schema import (
    KeyPath,
    Node,
    PretrainConfig,
    TrainConfig,
    TransplantConfig,
    Where,
    dotted,
    missing_values,
    schema_problems,
    walk,
)
from lexigraft.config.signatures import target_problems

SCHEMAS: dict[str, type] = {"train": TrainConfig, "pretrain": PretrainConfig, "transplant": TransplantConfig}

# Texts without labels serve a transplant, never a classifier.
PLAIN_TEXT = "lexigraft.data.plain_text.load"
# Groups whose node is built as a whole, by its `_target_`.
GROUPS = (
    "data", "cleaning", "subset", "balance", "task", "source", "tokenizer", "transplant", "finetune", "teacher",
    "optimizer", "scheduler", "averaging", "logger", "backbone", "objective",
)  # fmt: skip
# Groups of which several options can be chosen, each a node of its own.
SEVERAL = ("augment", "augment_texts", "regularise", "corpus", "keep_out")

RUNS = ("train", "pretrain")  # the commands whose runs leave folders, by which other processes tell how they ended


def command_of(values: Mapping[str, Any]) -> str:
    """The command that a resolved config of a run is for: train or pretrain."""
    return "pretrain" if "objective" in values else "train"


def somewhere(_: KeyPath) -> str:
    """For configs whose files are not known."""
    return "the config"


def preflight(cfg: DictConfig, schema: type, where: Where = somewhere) -> DictConfig:
    """`cfg` resolved, its types settled, and read-only; `ConfigError` with every mistake that was found.

    First what `schema` can see, which imports nothing; only then the signatures of the `_target_` nodes.
    `where` says for a path which file, or the command line, it came from.
    """
    values = resolved(cfg, where)
    values, problems = schema_problems(values, schema, where)
    _report(problems + missing_values(values, where))
    _report(_without_target(values, schema, where))
    _report(target_problems(values, where))
    _report(hardware_problems(values))
    values = with_counts(values)
    _report(across_problems(values, where))
    return frozen(values)


def frozen(values: Mapping[str, Any]) -> DictConfig:
    """Resolved values as the config that commands take."""
    cfg = OmegaConf.create(dict(values))
    OmegaConf.set_struct(cfg, True)
    OmegaConf.set_readonly(cfg, True)
    return cfg


def check_schema(cfg: DictConfig, schema: type, where: Where = somewhere) -> Node:
    """`cfg` as resolved plain values; `ConfigError` for what `schema` can see. Missing values (`???`) are let pass."""
    values, problems = schema_problems(resolved(cfg, where), schema, where)
    _report(problems)
    return values


def resolved(cfg: DictConfig, where: Where = somewhere) -> Node:
    """Plain values of `cfg`; `ConfigError` for an interpolation that cannot be resolved."""
    try:
        return cast(Node, OmegaConf.to_container(cfg, resolve=True))
    except OmegaConfBaseException as error:
        path: KeyPath = tuple(str(error.full_key or "").replace("[", ".").replace("]", "").split("."))
        message = str(error.msg or error).splitlines()[0]
        message = message.removeprefix("KeyError raised while resolving interpolation: ").strip('"')
        hint = _interpolation_hint(cfg, message)
        raise ConfigError(f"{dotted(path)} in {where(path)}: {message}{hint}") from error


def without_hydra(cfg: DictConfig) -> DictConfig:
    """A composed config without Hydra's own node."""
    return OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])


def _report(problems: list[str]) -> None:
    if problems:
        raise ConfigError(*problems)


def _interpolation_hint(cfg: DictConfig, message: str) -> str:
    if not message.startswith("Interpolation key '"):
        return ""
    wanted = message.split("'")[1]
    known = [dotted(path) for path, _ in walk(OmegaConf.to_container(cfg))]
    parent = wanted.rpartition(".")[0]
    siblings = [key.rpartition(".")[2] for key in known if key.rpartition(".")[0] == parent]
    return did_you_mean(*nearest_key(wanted, siblings, known))


def _without_target(values: Node, schema: type, where: Where) -> list[str]:
    """Nodes that should name their code and do not. A transplant can do without texts, a pretraining without rows."""
    data = values.get("data", {})
    if schema is TransplantConfig and data.keys() <= {"root"}:
        values = {key: node for key, node in values.items() if key != "data"}
    elif schema is TrainConfig and data.keys() <= {"root"}:
        return ["data=none has no texts to train on: choose another, see lexigraft show options data"]
    elif schema is TrainConfig and data.get("_target_") == PLAIN_TEXT:
        return ["data=text has no labels to train on: choose another, see lexigraft show options data"]
    if values["source"].keys() <= {"std"}:
        if schema is not PretrainConfig:
            return ["source=none has no rows, which only lexigraft pretrain draws anew: choose another source"]
        values = {key: node for key, node in values.items() if key != "source"}
    if schema is PretrainConfig and not values["corpus"]:
        return ["corpus=[] has no text to learn from: choose some, such as corpus=[text] corpus.text.path=FILE"]
    nodes: dict[KeyPath, Node] = {(key,): node for key, node in values.items() if key in GROUPS}
    nodes |= {(key, name): node for key in SEVERAL for name, node in values.get(key, {}).items()}
    nodes |= {("model", key): values["model"][key] for key in ("encoder", "pooling") if "model" in values}
    return [
        f"'{dotted(path)}._target_' is missing in {where(path)}: it should name the code that the other keys configure"
        for path, node in nodes.items()
        if "_target_" not in node
    ]
