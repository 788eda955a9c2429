"""A study's result table: plain values that the terminal, LaTeX, Markdown and HTML render alike."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from lexigraft.studies.metric import Metric

Place = tuple[str, ...]  # labels, one for each of `row_axes` or of `column_axes`; () where there are no such axes


@dataclass(frozen=True)
class Score:
    """A metric of one place in the table, over the runs that are averaged there (`repeats`).

    Values are raw (0.915, not 91.5); `Metric.text` shows them. `n` counts the runs that have a value, `expected_n` the
    cells of the study there: "2 of 3" where they differ. Without runs all of mean, std, low and high are None, with one
    run all but the mean. `std` is the sample's (n - 1); low and high bound Student's t interval of the mean.
    """

    n: int
    expected_n: int
    values: tuple[float, ...] = ()  # in the study's order of the repeats
    runs: tuple[str, ...] = ()  # ids of the runs of `values`
    mean: float | None = None
    std: float | None = None
    low: float | None = None
    high: float | None = None
    best: bool = False  # the best of its rivals (see `ResultTable.best_of`), ties as shown included


@dataclass(frozen=True)
class Tested:
    """What one test says of one comparison; `adjusted` is Holm's p value over the table, p itself without correction.

    Of almost stochastic order, p is None and `statistic` its epsilon_min, which is small where the first is better.
    Where a test could not be made (too few runs, no stored predictions), p and statistic are None and `why` tells.
    """

    name: str  # as in study.yaml: "paired_bootstrap", "welch", ...
    p: float | None
    adjusted: float | None
    significant: bool
    statistic: float | None = None
    why: str | None = None


@dataclass(frozen=True)
class Comparison:
    """A place of the table against its baseline, which has the same labels on all axes but the baseline's.

    `difference` is the mean over pairs (equal in the repeats) of the place's value minus the baseline's, raw;
    low and high bound its paired t interval, None below two pairs. `marks` are the signs of the tests that found it
    significant, "*†", as explained in `ResultTable.legend`.
    """

    row: Place
    column: Place
    metric: str
    against: tuple[Place, Place]  # row and column of the baseline
    pairs: int
    difference: float | None
    low: float | None
    high: float | None
    tests: tuple[Tested, ...] = ()
    marks: str = ""

    @property
    def significant(self) -> bool:
        """Whether any test found a difference."""
        return any(test.significant for test in self.tests)


@dataclass(frozen=True)
class ResultTable:
    """The table of a study: a `Score` per row, column and metric; which are better than the baseline; what to know.

    Every (row, column, metric.name) of `rows` x `columns` x `metrics` is a key of `cells` unless the study leaves that
    place out (`skip`): then there is none. `columns` is [()] without column axes. The order of rows and columns is the
    study's. `notes` are sentences to print below: missing runs, mixed code or hardware, what was averaged.
    `legend` explains each mark: {"†": "paired bootstrap, p < 0.05, Holm-adjusted over 6 comparisons"}.
    """

    title: str
    metrics: tuple[Metric, ...]  # the first is the main one
    row_axes: tuple[str, ...]
    column_axes: tuple[str, ...]
    rows: tuple[Place, ...]
    columns: tuple[Place, ...]
    cells: Mapping[tuple[Place, Place, str], Score]
    comparisons: tuple[Comparison, ...] = ()
    legend: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    repeats: tuple[str, ...] = ()  # the axes that are averaged over
    level: float = 0.95  # of all intervals
    best_of: str = ""  # where the best is marked, a phrase: "each row", "each column", "those of the same data"

    def comparison(self, row: Place, column: Place, metric: str) -> Comparison | None:
        """The comparison of a place with its baseline; None for the baseline itself and where none was wanted."""
        return self._by_place.get((row, column, metric))

    @cached_property
    def _by_place(self) -> Mapping[tuple[Place, Place, str], Comparison]:
        return {(of.row, of.column, of.metric): of for of in self.comparisons}
