"""`lexigraft study` from the line to the table, with real runs of the tiny task."""

import json
import os
import subprocess
import sys

import pytest

from tests.fixtures.task import MODEL, SOURCE, call

STUDY = """\
# What do transplanted rows bring?
base: {base}
axes:
  rows: {{random: [transplant=random], transplanted: [], broken: [data.train=nowhere.tsv]}}
  seed: [0, 1]
skip: [{{rows: broken, seed: 1}}]
table: {{columns: [rows]}}
compare: {{baseline: {{rows: random}}}}
launch: {{jobs: 2}}
"""


@pytest.fixture
def folder(tmp_path, task_overrides):
    (tmp_path / "tiny").mkdir()
    base = [*task_overrides, *SOURCE, *MODEL, "trainer.epochs=1", f"output_root={tmp_path / 'out'}"]
    (tmp_path / "tiny" / "study.yaml").write_text(STUDY.format(base=json.dumps(base, ensure_ascii=False)))
    return tmp_path / "tiny"


def states(folder):
    found = (folder.parent / "out" / "runs").glob("*/status.json")
    return sorted((json.loads(path.read_text())["name"], json.loads(path.read_text())["attempts"]) for path in found)


def test_a_study_is_planned_run_told_of_and_tabulated(folder, capfd):
    assert call("study", str(folder), "--plan") == 0
    out = capfd.readouterr().out
    assert "5 cells (1 skipped): 5 left" in out
    assert "cost of the rest: unknown until a cell has finished (2 jobs at once)" in out
    assert not (folder.parent / "out" / "runs").exists()

    assert call("study", str(folder), "--table") == 0
    assert "study tiny: no cell has finished yet, so there is no table" in capfd.readouterr().out

    assert call("study", str(folder)) == 1
    out, err = capfd.readouterr()
    assert "study tiny: 5 cells, 5 to run, 2 at once" in out
    assert "4 of 5 runs have a result" in out
    assert "no data file nowhere.tsv" in out
    assert "error: 1 of 5 cells have no result: lexigraft study" in err
    assert states(folder) == [("failed", 1), *[("finished", 1)] * 4]

    assert call("study", str(folder), "--status") == 0
    out = capfd.readouterr().out
    assert "5 cells: 4 done, 1 failed" in out
    assert "no data file nowhere.tsv" in out

    assert call("study", str(folder), "rows=random,transplanted") == 0
    out = capfd.readouterr().out
    assert "study tiny: 4 cells, 0 to run, 2 at once" in out
    assert "transplanted" in out
    assert "±" in out
    assert states(folder) == [("failed", 1), *[("finished", 1)] * 4]


def test_two_launchers_on_one_study_run_no_cell_twice(folder):
    line = [sys.executable, "-m", "lexigraft", "study", str(folder), "rows=random,transplanted", "trainer.epochs=2"]
    both = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [launcher.communicate()[0] for launcher in both]
    assert [launcher.returncode for launcher in both] == [0, 0], said
    results = sorted((folder.parent / "out" / "runs").glob("*/result.json"))
    assert len(results) == 4
    # The log has the line of an epoch for each time that it was trained.
    for result in results:
        log = (result.parent / "log.txt").read_text(encoding="utf-8")
        assert log.count("epoch  2 ") == 1
    assert all("±" in text for text in said)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere"], "there is no folder 'nowhere' with a study.yaml"),
        (["{folder}", "trainer.epoch=3"], "unknown key 'trainer.epoch' in the overrides of study tiny; did you mean"),
        (["{folder}", "rows=randm"], "axis 'rows' has no 'randm'; did you mean 'random'?"),
        (["{folder}", "--jobs", "0"], "'0' should be a whole number of at least 1"),
        (["{folder}", "--plan", "--table"], "not allowed with argument"),
    ],
)
def test_mistakes_are_told_before_anything_runs(folder, capsys, words, says):
    assert call("study", *(word.format(folder=folder) for word in words)) == 2
    assert says in capsys.readouterr().err
    assert not (folder.parent / "out").exists()


def test_other_code_is_told_of(folder, capfd):
    words = [str(folder), "rows=random", "seed=0"]
    assert call("study", *words) == 0
    [provenance] = (folder.parent / "out" / "runs").glob("*/provenance.json")
    record = json.loads(provenance.read_text())
    record["code"]["package_sha256"] = "0" * 64
    provenance.write_text(json.dumps(record))
    os.utime(provenance.with_name("status.json"))  # by which the index knows that something changed
    capfd.readouterr()
    assert call("study", *words) == 0
    assert "1 of 1 finished runs were made by other code (package 000000000000" in capfd.readouterr().out
    assert call("study", *words, "rerun=true") == 0
    assert "1 cells, 1 to run" in capfd.readouterr().out
