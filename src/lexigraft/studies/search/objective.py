"""What a search optimises: the dev metric by which a run picks its best epoch, or other numbers of its result.json."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from omegaconf import OmegaConf

from lexigraft.config.errors import ConfigError
from lexigraft.studies.metric import metric

MONITOR = "monitor"  # the metric of trainer.monitor, at the best epoch


@dataclass(frozen=True)
class Objective:
    """A number of a run, whether it is to become large or small, and what it is called in figures."""

    name: str
    direction: Literal["maximize", "minimize"]
    label: str

    def value(self, result: Mapping[str, Any]) -> float:
        """The number in a run's result; `ValueError` where it has none or it is not finite."""
        found: Any = result
        for part in _path(self.name):
            found = found.get(part) if isinstance(found, Mapping) else None
        if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
            raise ValueError(f"the run has no value of {self.name}, which the search optimises")
        return float(found)


def objective(name: str, values: Mapping[str, Any]) -> Objective:
    """The objective of that name for runs of a resolved config: "monitor", "dev/macro_f1", "dev/<task>/accuracy",
    "seconds/train", "counts/parameters". `ConfigError` for the test split, and for a name of which it is not known
    whether more or less of it is better.
    """
    if name == MONITOR:
        watched = monitor_of(values)
        known = metric(f"dev/{watched}")
        return Objective(name, "minimize" if known.higher_is_better is False else "maximize", known.label)
    split = name.partition("/")[0]
    if split == "test":
        raise ConfigError(f"objective {name}: a search sees validation only; optimise dev{name.removeprefix('test')}")
    known = metric(name)
    better_high = False if split == "counts" else known.higher_is_better
    if split not in ("dev", "seconds", "counts") or "/" not in name or better_high is None:
        raise ConfigError(
            f"unknown objective '{name}': give monitor, a dev metric such as dev/macro_f1, seconds/train or "
            "counts/parameters"
        )
    return Objective(name, "maximize" if better_high else "minimize", known.label)


def monitor_of(values: Mapping[str, Any]) -> str:
    """The dev metric that picks the best epoch of a run, as far as its config tells."""
    from lexigraft import build

    chosen: str | None = values["trainer"]["monitor"]
    if chosen is not None:
        return chosen
    if "objective" in values:
        of_objective: str = build.objective(OmegaConf.create(dict(values["objective"]))).monitors[0]
        return of_objective
    # Of tags it depends on the data which one it is; all of them are better when higher.
    found = build.monitors(OmegaConf.create(dict(values["task"])))
    return found[0] if found else "metric"


def _path(name: str) -> tuple[str, ...]:
    """Where the number stands in result.json."""
    if name == MONITOR:
        return "best", "value"
    split, _, rest = name.partition("/")
    if split == "dev":
        where, _, key = name.rpartition("/")
        return "metrics", where, key
    return split, *rest.split("/")
