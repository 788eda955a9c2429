import io

import pytest
from rich.console import Console

from lexigraft.config.compose import loader
from lexigraft.config.errors import ConfigError
from lexigraft.runs.identity import run_id
from lexigraft.runs.state import RunState
from lexigraft.studies.cell import Cell
from lexigraft.studies.composing import composed
from lexigraft.studies.plan import plan
from lexigraft.studies.plan_text import plan_table
from lexigraft.studies.study import Study


def study(**parts):
    return Study(**{"name": "x", "axes": {"model": ["textcnn", "fasttext"], "seed": [0, 1]}} | parts)


def problems_of(*overrides, **parts):
    with pytest.raises(ConfigError) as caught:
        plan(study(**parts), overrides)
    return caught.value.problems


@pytest.fixture(scope="module")
def cells():
    return plan(study(base=["trainer.epochs=3"]))


def test_each_cell_has_the_config_that_its_words_have_alone(cells):
    assert [cell.labels for cell in cells] == [
        {"model": m, "seed": s} for m in ("textcnn", "fasttext") for s in ("0", "1")
    ]
    assert cells[1].overrides == ("experiment=x", "trainer.epochs=3", "model=textcnn", "seed=1")
    with loader():
        alone = [composed("train", cell.overrides) for cell in cells]
    assert [repr(cell.values) for cell in cells] == list(map(repr, alone))
    assert [cell.id for cell in cells] == list(map(run_id, alone))


def test_the_study_is_the_label_of_its_runs_unless_a_word_says_otherwise(cells):
    assert {cell.values["experiment"] for cell in cells} == {"x"}
    [cell] = plan(Study(name="a b", axes={"seed": [0]}))
    assert cell.values["experiment"] == "a b"
    [cell] = plan(Study(name="x", axes={"seed": [0]}), ["experiment=y"])
    assert cell.values["experiment"] == "y"


def test_words_of_the_line_reach_every_cell():
    found = plan(study(), ["seed=5", "trainer.epochs=2"])
    assert [(cell.values["seed"], cell.values["trainer"]["epochs"]) for cell in found] == [(5, 2), (5, 2)]


def test_every_mistake_is_told_once_with_its_cells():
    problems = problems_of(axes={"model": ["textcnn", "bigruu"], "seed": [0, "x", 2]}, base=["seeed=1"])
    assert len(problems) == 3
    unknown, seed, model = problems
    assert unknown.startswith("unknown key 'seeed' in the overrides of study x; did you mean 'seed'? (in 3 of 6 cells")
    assert seed == "seed=x in the overrides of study x should be a valid integer (in cell model=textcnn seed=x)"
    assert model.startswith("unknown option 'model=bigruu'; did you mean 'bigru'?")
    assert model.endswith("(in 3 of 6 cells, the first: model=bigruu seed=0)")


def test_a_mistake_of_every_cell():
    [problem] = problems_of(base=["trainer.epochs=0"])
    assert problem.endswith("in the overrides of study x should be greater than or equal to 1 (in every cell)")
    [problem] = problems_of(base=["trainer.epochs=0"], axes={"seed": [0]})
    assert problem.endswith("(in its cell)")


def test_cells_that_are_the_same_run_are_refused():
    [problem] = problems_of(axes={"trainer.workers": [0, 1], "seed": [0, 1]})
    assert problem == (
        "cells trainer.workers=0 seed=0 and trainer.workers=1 seed=0 are the same run, and 1 more such pairs: what "
        "they differ in, trainer.workers, changes only trainer.workers, which cannot change a result; leave one of "
        "them out by 'skip'"
    )
    [problem] = problems_of(
        axes={"rows": {"a": ["transplant=random"], "b": []}, "seed": [0]}, base=["transplant=random"]
    )
    assert "changes nothing of their configs" in problem


def test_skip_makes_them_different():
    found = plan(study(axes={"trainer.workers": [0, 1], "seed": [0, 1]}, skip=[{"trainer.workers": 1}]))
    assert len(found) == 2


def printed(*arguments, **options):
    console = Console(file=io.StringIO(), width=120)
    console.print(plan_table(*arguments, **options))
    return console.file.getvalue()


def states(cells, *names):
    return {cell.id: RunState(name) for cell, name in zip(cells, names)}


def test_the_plan_of_a_fresh_study(cells):
    text = printed(cells, {}, {}, jobs=2)
    assert ["model", "2", "textcnn,", "fasttext"] in [line.split() for line in text.splitlines()]
    assert "4 cells: 4 left" in text
    assert "cost of the rest: unknown until a cell has finished (2 jobs at once)" in text
    assert all(cell.id in text for cell in cells)


def test_cost_is_that_of_the_finished_cells_most_alike(cells):
    seconds = {cells[0].id: 60.0, cells[2].id: 600.0}
    text = printed(cells, states(cells, "finished", "running", "finished", "new"), seconds, repeats=["seed"], jobs=2)
    assert "4 cells: 2 done, 1 running, 1 left" in text
    assert "cost of the rest: about 11 min of work, 10 min with 2 jobs at once" in text
    rows = [line.split() for line in text.splitlines() if "textcnn" in line or "fasttext" in line][1:]
    assert [(row[3], " ".join(row[4:])) for row in rows] == [
        ("done", "60 s"), ("running", "~60 s"), ("done", "10 min"), ("left", "~10 min"),
    ]  # fmt: skip


def test_a_finished_study_costs_nothing(cells):
    text = printed(cells, states(cells, *["finished"] * 4), {cell.id: 1.0 for cell in cells})
    assert "cost of the rest: nothing, all are done" in text


def test_many_cells_are_listed_on_demand_and_skipped_ones_are_counted(cells):
    many = [Cell({"a": str(i), "b": str(j)}, (), cells[0].values) for i in range(9) for j in range(8) if i != j]
    text = printed(many, {}, {})
    assert "64 cells (8 skipped): 64 left" in text
    assert "and 54 cells more; --all lists them" in text
    assert printed(many, {}, {}, everything=True).count(cells[0].id) == 64
