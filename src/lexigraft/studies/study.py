"""`study.yaml`: what is run, what is left out, and what the table is to say."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from lexigraft.config.schema import Closed, Count, Number, Seed, Text

Override = Text
# Values of a key of the config, or labels with the overrides that each stands for.
Scalar = str | int | float | bool | None
Value = Scalar | list[Scalar]
Axis = list[Value] | dict[str, list[Override]]
Condition = dict[str, list[Value] | Scalar]  # of axes: a value or label, or several, one of which holds
Test = Literal["paired_bootstrap", "approximate_randomisation", "mcnemar", "welch", "wilcoxon", "aso"]


@dataclass
class Table(Closed):
    """Which axes are rows and which columns; axes in neither are those whose cells are averaged (`repeats`)."""

    rows: list[Text] = field(default_factory=list)
    columns: list[Text] = field(default_factory=list)


@dataclass
class Compare(Closed):
    """What is compared with the baseline, cell by cell of the other axes, and by which tests."""

    baseline: Condition = field(default_factory=dict)
    tests: list[Literal["paired_bootstrap", "approximate_randomisation", "mcnemar", "welch", "wilcoxon", "aso"]] = (
        field(default_factory=lambda: ["paired_bootstrap", "welch"])
    )
    alpha: Annotated[Number, Field(gt=0, lt=1)] = 0.05
    correction: Literal["holm", "none"] = "holm"


@dataclass
class Search(Closed):
    """A search before the cells: `space` holds Hydra's sweep syntax by key; the best config of each group of cells
    that differ in `repeats` alone is then run with all of them, and only those runs are tested."""

    space: dict[Text, Text]
    trials: Count
    sampler: Literal["tpe", "cmaes", "gp", "nsga2", "random", "grid"] = "tpe"
    pruner: Literal["none", "median", "hyperband", "asha"] = "none"
    seed: Seed = 0
    storage: Text | None = None


@dataclass
class Launch(Closed):
    """How jobs are run: so many at once, seconds for each, and how often one whose process died is begun again.

    `launcher` is that of `-m` (conf/hydra/launcher/), `options` are its further ones, such as partition.
    """

    jobs: Count = 1
    timeout: Annotated[Number, Field(gt=0)] | None = None
    retries: Annotated[int, Field(strict=True, ge=0)] = 1
    launcher: Literal["processes", "submitit_slurm", "submitit_local"] = "processes"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class Study(Closed):
    """experiments/<name>/study.yaml."""

    axes: dict[Text, Axis]
    command: Literal["train", "pretrain"] = "train"
    base: list[Override] = field(default_factory=list)
    skip: list[Condition] = field(default_factory=list)
    repeats: list[Text] = field(default_factory=lambda: ["seed", "data.fold"])
    metrics: list[Text] = field(default_factory=lambda: ["test/accuracy"])
    table: Table = field(default_factory=Table)
    compare: Compare | None = None
    search: Search | None = None
    launch: Launch = field(default_factory=Launch)
    title: Text | None = None
    name: Text = ""  # of its folder
