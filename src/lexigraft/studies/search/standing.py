"""How far the searches of a study have come, and how long the rest of their trials may take."""

from collections import Counter
from collections.abc import Sequence
from statistics import median

from rich.console import Group, RenderableType
from rich.text import Text

from lexigraft.config.compose import loader
from lexigraft.studies.cell import Cell
from lexigraft.studies.composing import Composer
from lexigraft.studies.search.search import Found, Search, is_done, read, searches
from lexigraft.studies.status import duration
from lexigraft.studies.study import Study


def standing_text(study: Study, cells: Sequence[Cell], jobs: int) -> RenderableType:
    """For the terminal: a line for each search, with its best trial so far, and the time left with so many jobs."""
    with loader():
        compose = Composer(study.command)
        found = [(search, read(search, compose)) for search, _ in searches(study, cells)]
    lines = [Text(_line(search, of)) for search, of in found]
    if any(of is None or not is_done(of) for _, of in found):
        seconds = _seconds_left(found, jobs)
        told = "unknown until a trial has finished" if seconds is None else f"{duration(seconds)} with {jobs} at once"
        lines.append(Text(f"time left of the searches: {told}"))
    return Group(*lines)


def _line(search: Search, found: Found | None) -> str:
    if found is None:
        return f"search {search.name}: 0 of {search.settings.trials} trials done"
    count = Counter(trial["state"] for trial in found.trials)
    kinds = [f"{count[state]} {state}" for state in ("pruned", "failed") if count[state]]
    among = f" ({', '.join(kinds)})" if kinds else ""
    best = f"{found.objectives[0].label} {found.best[0]['values'][0]:.4f} with {' '.join(found.words)}"
    return f"search {search.name}: {len(found.done)} of {search.settings.trials} trials done{among}; best {best}"


def _seconds_left(found: Sequence[tuple[Search, Found | None]], jobs: int) -> float | None:
    """Trials go in rounds of `jobs`, one search after the other; None while no trial says how long one takes."""
    took = [
        trial["seconds"] for _, of in found if of is not None for trial in of.trials if trial["seconds"] is not None
    ]
    if not took:
        return None
    left = [0 if of and is_done(of) else search.settings.trials - (len(of.done) if of else 0) for search, of in found]
    return median(took) * sum(-(-trials // jobs) for trials in left)
