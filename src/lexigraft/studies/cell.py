"""A cell of a study: one run, by its place on the axes and its resolved config."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lexigraft.runs.identity import run_id


@dataclass(frozen=True)
class Cell:
    """`labels` name its place on each axis, `overrides` are the words of its line, `values` its resolved config."""

    labels: Mapping[str, str]
    overrides: tuple[str, ...]
    values: Mapping[str, Any] = field(repr=False)

    @property
    def id(self) -> str:
        """The name of its run folder; cells of different studies may share it."""
        return run_id(self.values)

    @property
    def folder(self) -> Path:
        """Its run folder, <output_root>/runs/<id>."""
        return Path(self.values["output_root"]) / "runs" / self.id
