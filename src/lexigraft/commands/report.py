"""`lexigraft report FOLDER`: a study's tables, figures and page, from the runs that have finished."""

import argparse
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from lexigraft.evaluation.tables import warning_text
from lexigraft.report.writing import unfinished, write_report
from lexigraft.studies.plan import plan
from lexigraft.studies.reading import read_study
from lexigraft.studies.results import read_results


def run(args: argparse.Namespace) -> None:
    """Write the report and print its files."""
    folder = Path(args.folder)
    study = read_study(folder)
    cells = plan(study, args.overrides)
    root = Path(cells[0].values["output_root"])
    output = Path(args.output) if args.output else root / "studies" / study.name / "report"
    if study.search is not None:
        from lexigraft.studies.search.launching import chosen

        cells = chosen(study, cells)
        if not cells:
            raise ValueError(f"no search of study {study.name} is done, so that there is nothing to report: "
                             f"lexigraft study {args.folder} goes on with it")  # fmt: skip
    results = read_results(cells, study.metrics)
    console = Console(soft_wrap=True, highlight=False)
    if missing := unfinished(results):
        console.print(warning_text(missing))
    for warning in results.warnings:
        console.print(warning_text(warning))
    for line in _together(write_report(study, cells, results, folder=folder, output=output, overrides=args.overrides)):
        console.print(line, markup=False)


def _together(paths: Iterable[Path]) -> list[str]:
    """Files of one name in a line, as a shell writes them: `figures/values.{pdf,svg,png}`."""
    kinds: dict[Path, list[str]] = {}
    for path in paths:
        kinds.setdefault(path.with_suffix(""), []).append(path.suffix[1:])
    return [f"{name}.{{{','.join(of)}}}" if len(of) > 1 else f"{name}.{of[0]}" for name, of in kinds.items()]
