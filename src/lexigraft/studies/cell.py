"""A cell of a study: one run, by its place on the axes and its resolved config."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lexigraft.studies.job import OfRun


@dataclass(frozen=True)
class Cell(OfRun):
    """`labels` name its place on each axis, `overrides` are the words of its line, `values` its resolved config."""

    labels: Mapping[str, str]
    overrides: tuple[str, ...]
    values: Mapping[str, Any] = field(repr=False)
