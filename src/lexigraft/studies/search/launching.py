"""`lexigraft study` of a study with a search: its trials, then the runs of the cells that they chose."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lexigraft.config.compose import loader
from lexigraft.studies.cell import Cell
from lexigraft.studies.composing import Composer
from lexigraft.studies.job import Outcome
from lexigraft.studies.launching import run_cells, runner, unfinished
from lexigraft.studies.live import Live
from lexigraft.studies.results import runs_of
from lexigraft.studies.search.report import write_report
from lexigraft.studies.search.search import Compose, Found, Search, chosen_cells, is_done, read, searched, searches
from lexigraft.studies.study import Launch, Study


def run_study(
    study: Study, cells: Sequence[Cell], launch: Launch, console: Console
) -> tuple[list[Cell], list[Outcome]]:
    """Run what is left of the searches, then of the chosen cells; these, and the outcomes of those that were run.

    Each search leaves `search.json` and figures in <output_root>/studies/<study>/searches/<group>.
    """
    groups = searches(study, cells)
    with loader():
        compose = Composer(study.command)
        found = _searched([search for search, _ in groups], compose, launch, console)
        chosen = [cell for of, (_, group) in zip(found, groups) for cell in chosen_cells(of, group, compose)]
    for of, (_, group) in zip(found, groups):
        write_report(of, _folder(study, of.search, group[0]))
        values = "  ".join(
            f"{objective.label} {value:.4f}" for objective, value in zip(of.objectives, of.best[0]["values"])
        )
        console.print(f"search {of.search.name}: {values} with {' '.join(of.words)}", markup=False)
    runs, _ = runs_of(chosen)
    left = unfinished(chosen, runs)
    console.print(f"study {study.name}: {len(chosen)} cells chosen, {len(left)} to run", markup=False)
    return chosen, run_cells(left, launch, console, done=len(chosen) - len(left)) if left else []


def chosen(study: Study, cells: Sequence[Cell]) -> list[Cell]:
    """The cells that the searches chose, of those groups whose search is done."""
    found = []
    with loader():
        compose = Composer(study.command)
        for search, group in searches(study, cells):
            of = read(search, compose)
            if of is not None and is_done(of):
                found += chosen_cells(of, group, compose)
    return found


def _searched(wanted: Sequence[Search], compose: Compose, launch: Launch, console: Console) -> list[Found]:
    """The searches one after the other, those that are done only read."""
    found = [read(search, compose) for search in wanted]
    open_ones = [of is None or not is_done(of) for of in found]
    if not any(open_ones):
        return [of for of in found if of is not None]
    trials = sum(search.settings.trials for search in wanted)
    over = sum(len(of.done) for of in found if of is not None)
    count = f"{len(wanted)} search{'es' if len(wanted) > 1 else ''}"
    console.print(f"{count}, {over} of {trials} trials done, {launch.jobs} at once", markup=False)
    with Live(console, total=trials, done=over) as watch, runner(launch, watch) as pool:
        return [
            searched(search, pool, compose) if is_open or of is None else of
            for search, of, is_open in zip(wanted, found, open_ones)
        ]


def _folder(study: Study, search: Search, cell: Cell) -> Path:
    return Path(cell.values["output_root"]) / "studies" / study.name / "searches" / search.name.replace("/", "_")
