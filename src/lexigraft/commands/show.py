"""`lexigraft show`: the composed config, a finished run, a transplant, or the options of conf/."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from rich.console import Console
from rich.syntax import Syntax

from lexigraft.config.catalog import conf_folder, groups, options
from lexigraft.config.compose import extend_conf, jobs, loader
from lexigraft.config.errors import ConfigError, did_you_mean, nearest
from lexigraft.config.flags import split
from lexigraft.config.preflight import SCHEMAS, check_schema, without_hydra
from lexigraft.evaluation.tables import (
    class_table,
    coverage_table,
    findings,
    measures_table,
    neighbours_table,
    norms_table,
    notes_text,
    result_table,
    warning_text,
)
from lexigraft.runs.folder import read_json

DIAGNOSED = {
    "summary.json": ("tokens_per_tier", "coverage_of_types", "duplicate_rows"),
    "diagnosis.json": ("digits", "norms", "outliers", "untrained", "neighbours", "unreachable", "warnings"),
}
SHOWN_VERSIONS = ("python", "torch", "pytorch-lightning", "transformers")


def run(words: Sequence[str]) -> None:
    """Print what `words` ask for; plain text where stdout is not a terminal. `ConfigError` for what does not exist."""
    console = Console(soft_wrap=True, highlight=False)
    if words and words[0] == "options":
        show_options(console, words[1:])
    elif words and words[0] == "transplant":
        show_transplant(console, words[1:])
    elif len(words) == 1 and "=" not in words[0] and not words[0].startswith(("-", "~")):
        show_run(console, Path(words[0]))
    else:
        show_config(console, words)


def show_options(console: Console, words: Sequence[str]) -> None:
    """Every option of one group, or of all, with its description."""
    own = conf_folder()
    if words and words[0] not in groups(own):
        hint = did_you_mean(*nearest(words[0], groups(own))) or f"; the groups are {', '.join(groups(own))}"
        raise ConfigError(f"unknown group '{words[0]}'{hint}")
    for group in [words[0]] if words else groups(own):
        console.print(f"[bold]{group}[/bold]")
        for option in options(own, group):
            console.print(f"  {option.name:<15} {option.description}", markup=False)


def show_config(console: Console, words: Sequence[str]) -> None:
    """The composed config as YAML, references resolved, with the files that each part came from."""
    line = split(words)
    config_name = line.flags.get("--config-name") or "train"
    extend_conf(line.config_dirs)
    with loader():
        cfg, origin = next(jobs(config_name, line.overrides, multirun=False))
        schema = SCHEMAS.get(config_name, SCHEMAS["train"])
        values = check_schema(without_hydra(cfg), schema, origin)
        parts = []
        for key, value in values.items():
            files = origin.files(key)
            comment = f"# {', '.join(files)}\n" if files else ""
            parts.append(comment + OmegaConf.to_yaml(OmegaConf.create({key: value})))
    text = "".join(parts)
    if console.is_terminal:
        console.print(Syntax(text.rstrip(), "yaml", background_color="default"))
    else:
        print(text, end="")


def show_run(console: Console, folder: Path) -> None:
    """Metrics, coverage and origin of a finished run, or of a folder that `lexigraft transplant` wrote."""
    if not folder.is_dir():
        raise ConfigError(
            f"'{folder}' is not a run folder, nor an override (key=value), nor 'options'; see lexigraft show --help"
        )
    result = _read(folder / "result.json")
    provenance = _read(folder / "provenance.json")
    coverage = _read(folder / "transplant" / "summary.json") or _read(folder / "summary.json")
    if not provenance:
        raise ConfigError(f"'{folder}' is not a run folder: it has no provenance.json")
    console.print(f"[bold]{folder}[/bold]")
    if result:
        _show_metrics(console, result["metrics"])
    if coverage:
        console.print(coverage_table(coverage))
    for name, value in [*_facts(provenance), *_costs(result)]:
        console.print(f"{name:<12}{value}", markup=False)
    if not result and (folder / "checkpoints").is_dir():
        console.print("unfinished: the run ended before it wrote result.json")


def _show_metrics(console: Console, metrics: dict[str, Any]) -> None:
    """Those of each split; of a classifier also the last split's, by class. A pruned run has none."""
    if not metrics:
        return
    if not all("count" in of for of in metrics.values()):
        console.print(measures_table(metrics))
        return
    console.print(result_table({"metrics": metrics}))
    split = list(metrics)[-1]
    console.print(f"classes of {split}")
    console.print(class_table(metrics[split]))


def show_transplant(console: Console, words: Sequence[str]) -> None:
    """What was found out about a transplant when it was made; its source need not be there any more."""
    if len(words) != 1:
        raise ConfigError(
            "show transplant takes one folder, that which `lexigraft transplant` or `lexigraft train` wrote"
        )
    given = Path(words[0])
    if not given.is_dir():
        raise ConfigError(f"there is no folder '{given}': give one that `lexigraft transplant` or `train` wrote")
    found = [folder for folder in (given, given / "transplant") if (folder / "diagnosis.json").is_file()]
    if not found:
        raise ConfigError(
            f"'{given}' holds no diagnosis.json: give a folder that `lexigraft transplant` wrote, or a run folder"
        )
    folder = found[0]
    summary, diagnosis = (_whole(folder / name, keys) for name, keys in DIAGNOSED.items())
    console.print(f"[bold]{folder}[/bold]")
    console.print(coverage_table(summary))
    console.print(norms_table(diagnosis["norms"]))
    if diagnosis["neighbours"]:
        console.print(neighbours_table(diagnosis["neighbours"]))
    for name, value in findings(summary, diagnosis):
        console.print(f"{name:<20}{value}", markup=False)
    if notes := notes_text(summary):
        console.print(notes, markup=False)
    for name in ("transplant.png", "provenance.parquet"):
        if (folder / name).is_file():
            console.print(f"{'picture' if name.endswith('png') else 'each row':<20}{folder / name}", markup=False)
    for warning in diagnosis["warnings"]:
        console.print(warning_text(warning))


def _whole(file: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    """A JSON file with all of these keys; `ValueError` where it lacks one."""
    content = read_json(file) if file.is_file() else {}
    lacking = [key for key in keys if key not in content]
    if lacking:
        raise ValueError(f"{file} is damaged or of another version (it lacks {lacking[0]!r}): transplant again")
    return content


def _read(file: Path) -> dict[str, Any]:
    """A JSON file, empty where there is none."""
    return read_json(file) if file.is_file() else {}


def _facts(provenance: dict[str, Any]) -> list[tuple[str, str]]:
    """What a run was made of."""
    code = provenance["code"]
    changed = " and uncommitted changes" if code.get("git_diff") else ""
    commit = code["git_commit"][:12] + changed if code.get("git_commit") else f"package {code['package_sha256'][:12]}"
    versions = provenance["versions"]
    return [
        ("command", provenance["command"]),
        ("seed", str(provenance["seed"])),
        ("code", commit),
        ("data", str(provenance["data"].get("name", "none"))),
        ("source", str(provenance["source"].get("name", ""))),
        ("target", f"{provenance['target']['tokens']:,} tokens"),
        ("versions", ", ".join(f"{name} {versions[name]}" for name in SHOWN_VERSIONS if name in versions)),
    ]


def _costs(result: dict[str, Any]) -> list[tuple[str, str]]:
    """What a finished run took."""
    if not result:
        return []
    counts, seconds = result["counts"], dict(result["seconds"])
    total = seconds.pop("total")
    trained = counts.get("trainable_parameters")  # static vectors are not told of
    parameters = [] if trained is None else [("parameters", f"{counts['parameters']:,}, {trained:,} of them trained")]
    return [
        ("texts", ", ".join(f"{split} {n:,}" for split, n in counts["texts"].items())),
        *parameters,
        ("device", f"{result['device']}, {result['precision']}"),
        ("seconds", f"{total:.1f}: " + ", ".join(f"{name} {s:.1f}" for name, s in seconds.items())),
    ]
