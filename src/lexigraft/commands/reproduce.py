"""`lexigraft reproduce RUN`: run it again from its folder, and say whether and where the two part."""

import argparse
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from omegaconf import DictConfig, OmegaConf
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lexigraft.config.preflight import SCHEMAS, command_of, preflight
from lexigraft.evaluation.tables import warning_text
from lexigraft.runs.folder import RunFolder, write_json
from lexigraft.runs.reproduce import Reproduction, compare

NAME = "reproduction.json"


def run(args: argparse.Namespace) -> None:
    """Train again by the folder's config and compare; `SystemExit` 1 where the two are different."""
    original = RunFolder.open(Path(args.run))
    if original.finished_result() is None:
        raise ValueError(f"{args.run} is not finished: run its line again first, which goes on where it ended")
    with _place(args.keep) as root:
        cfg = again(original, root)
        importlib.import_module(f"lexigraft.commands.{command_of(cfg)}").run(cfg)
        made = RunFolder.of(OmegaConf.to_container(cfg)).path  # type: ignore[arg-type]  # its keys are names
        found = compare(original.path, made)
    console = Console(soft_wrap=True, highlight=False)
    show(found, console)
    try:
        write_json(original.path / NAME, found.as_values())
    except OSError as error:
        console.print(warning_text(f"{NAME} could not be written: {error}"))
    if found.verdict == "different":
        raise SystemExit(1)


def again(original: RunFolder, root: Path) -> DictConfig:
    """The config of a run with another output_root, which tells no tracker of it; `ConfigError` if this version of
    lexigraft does not know it."""
    cfg = original.read_config()
    if root.resolve() in (path.resolve() for path in original.path.parents):
        raise ValueError(f"--keep {root} holds the run itself: give another folder")
    cfg.output_root = str(root)
    cfg.logger = {"_target_": "lexigraft.training.loggers.csv", "_partial_": True}
    cfg.rerun = False
    cfg.trainer.progress = False
    return preflight(cfg, SCHEMAS[command_of(cfg)])


def show(found: Reproduction, console: Console) -> None:
    """A row for each comparison, then the verdict, and what may be the cause."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("compared", no_wrap=True)
    table.add_column("again", no_wrap=True)
    table.add_column("", overflow="fold")
    for check in found.checks:
        grade = "other" if not check.result and check.grade == "different" else check.grade
        table.add_row(Text(check.name), grade, Text(check.found))
    console.print(table)
    verdict = "bit-identical" if found.verdict == "identical" else found.verdict
    first = "" if found.first is None else f", first in {found.first.name}: {found.first.found}"
    console.print(f"verdict     {verdict}{first}", markup=False)
    if found.first is not None and found.circumstances:
        names = ", ".join(check.name for check in found.circumstances)
        console.print(f"            not as they were: {names}", markup=False)


@contextmanager
def _place(keep: str | None) -> Iterator[Path]:
    if keep is not None:
        yield Path(keep)
        return
    with TemporaryDirectory(prefix="lexigraft-reproduce-") as folder:
        yield Path(folder)
