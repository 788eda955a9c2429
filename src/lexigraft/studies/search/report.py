"""`search.json` and the figures of a search."""

from pathlib import Path
from typing import Any

from lexigraft.runs.folder import write_json
from lexigraft.studies.search.search import Found


def write_report(found: Found, folder: Path) -> None:
    """Write `search.json`, and as PNG and PDF `history`, `importances` where there are any, and with several objectives
    `front`, into a folder.
    """
    from lexigraft.studies.search.figures import plot_front, plot_history, plot_importances

    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "search.json", described(found))
    figures = folder / "figures"
    plot_history(found.trials, found.objectives[0], figures / "history.png")
    if found.importances:
        plot_importances(found.importances, figures / "importances.png")
    if len(found.objectives) > 1:
        plot_front(found.trials, found.objectives, figures / "front.png")


def described(found: Found) -> dict[str, Any]:
    """A search in plain values: how it was done, its best trials, the keys' importances, and every trial."""
    search = found.search
    return {
        "name": search.name,
        "storage": search.storage,
        "words": [*search.words, *search.space.fixed],
        "space": search.space.described(),
        "trials_wanted": search.settings.trials,
        "sampler": {"name": search.settings.sampler, **search.settings.sampler_settings},
        "pruner": {"name": search.settings.pruner, **search.settings.pruner_settings},
        "seed": search.settings.seed,
        "objectives": [{"name": of.name, "direction": of.direction} for of in found.objectives],
        "best": [{**trial, "words": search.space.words(trial["params"])} for trial in found.best],
        "importances": dict(found.importances),
        "trials": list(found.trials),
    }
