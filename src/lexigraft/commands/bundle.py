"""`lexigraft bundle FOLDER`: pack a study for reviewers, or check such an archive."""

import argparse
from pathlib import Path

from rich.console import Console

from lexigraft.config.errors import ConfigError
from lexigraft.evaluation.tables import warning_text
from lexigraft.studies.archive import check_archive
from lexigraft.studies.bundle import pack


def run(args: argparse.Namespace) -> None:
    """Pack, or check; says what is in the archive."""
    console = Console(soft_wrap=True, highlight=False)
    folder = Path(args.folder)
    if args.check:
        console.print(f"{folder}: {check_archive(folder):,} files, all as they were packed", markup=False)
        return
    if wrong := [word for word in args.overrides if "=" not in word]:
        raise ConfigError(f"'{wrong[0]}' is no KEY=VALUE: bundle takes one folder, and the overrides of its study")
    name = folder.resolve().stem if folder.suffix in (".yaml", ".yml") else folder.resolve().name
    made = pack(
        folder,
        Path(args.output or f"{name}.zip"),
        args.overrides,
        partial=args.partial,
        checkpoints=args.checkpoints,
    )
    for note in made.notes:
        console.print(warning_text(note))
    size = f"{made.bytes / 1e6:.1f} MB"
    console.print(f"{made.path}: {made.cells} of {made.of} cells, {made.files:,} files, {size}", markup=False)
