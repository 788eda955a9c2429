"""`lexigraft study FOLDER`: every cell of a study, and the table that they make."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from lexigraft.config.errors import SweepFailed
from lexigraft.evaluation.tables import warning_text
from lexigraft.runs.manifest import package_sha256
from lexigraft.runs.reading import Run
from lexigraft.runs.state import RunState
from lexigraft.studies.cell import Cell
from lexigraft.studies.job import GOOD
from lexigraft.studies.plan import plan
from lexigraft.studies.plan_text import plan_table
from lexigraft.studies.pool import begin_imports
from lexigraft.studies.reading import read_study
from lexigraft.studies.results import read_results, runs_of
from lexigraft.studies.status import status, status_text
from lexigraft.studies.study import Launch, Study


def run(args: argparse.Namespace) -> None:
    """Print what was asked for, or run the cells that have no result; `SweepFailed` if some have none then."""
    console = Console(soft_wrap=True, highlight=False)
    study = read_study(Path(args.folder))
    if study.launch.launcher == "processes" and not (args.plan or args.status or args.table):
        begin_imports()
    cells = plan(study, args.overrides)
    launch = study.launch if args.jobs is None else replace(study.launch, jobs=args.jobs)
    if args.plan:
        runs, _ = runs_of(cells)
        states = {of.id: RunState(of.state) for of in runs}  # type: ignore[arg-type]
        seconds = {of.id: of.seconds for of in runs if of.seconds is not None}
        console.print(plan_table(cells, states, seconds, repeats=study.repeats, jobs=launch.jobs, everything=args.all))
    elif args.status:
        if study.search is not None:
            from lexigraft.studies.search.standing import standing_text

            console.print(standing_text(study, cells, launch.jobs))
        console.print(status_text(status(_final(study, cells), study.repeats, launch.jobs)))
    elif args.table:
        _print_table(study, _final(study, cells), console)
    else:
        _run(study, cells, launch, console, args.folder)


def _run(study: Study, cells: Sequence[Cell], launch: Launch, console: Console, folder: str) -> None:
    if study.search is not None:
        from lexigraft.studies.search.launching import run_study

        cells, outcomes = run_study(study, cells, launch, console)
    else:
        from lexigraft.studies.launching import run_cells, unfinished

        runs, warnings = runs_of(cells)
        for warning in [*warnings, *_other_code(runs)]:
            console.print(warning_text(warning))
        left = unfinished(cells, runs)
        console.print(
            f"study {study.name}: {len(cells)} cells, {len(left)} to run, {launch.jobs} at once", markup=False
        )
        outcomes = run_cells(left, launch, console, done=len(cells) - len(left)) if left else []
    _print_table(study, cells, console)
    failed = [outcome for outcome in outcomes if outcome.state not in GOOD]
    if failed:
        raise SweepFailed(
            f"{len(failed)} of {len(cells)} cells have no result: lexigraft study {folder} --status says why, and the "
            "same line runs them again"
        )


def _final(study: Study, cells: Sequence[Cell]) -> Sequence[Cell]:
    """The cells that a table is about: of a study with a search, those that it has chosen."""
    if study.search is None:
        return cells
    from lexigraft.studies.search.launching import chosen

    return chosen(study, cells)


def _print_table(study: Study, cells: Sequence[Cell], console: Console) -> None:
    from lexigraft.studies.table_text import table_text
    from lexigraft.studies.tabulating import result_table

    results = read_results(cells, study.metrics)
    if any(record.finished for record in results.records):
        console.print(table_text(result_table(study, results)))
    else:
        console.print(f"study {study.name}: no cell has finished yet, so there is no table", markup=False)


def _other_code(runs: Sequence[Run]) -> list[str]:
    """A sentence where finished runs were made by other code than this."""
    others = [of for of in runs if of.state == "finished" and of.code not in (None, package_sha256())]
    if not others:
        return []
    return [
        f"{len(others)} of {len(runs)} finished runs were made by other code (package "
        f"{(others[0].code or '')[:12]}, now {package_sha256()[:12]}); rerun=true does them again"
    ]
