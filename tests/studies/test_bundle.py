"""A study of two real cells, packed, unpacked elsewhere and read again."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from lexigraft.commands import arguments, bundle
from lexigraft.config.errors import ConfigError
from lexigraft.runs.folder import read_json, write_json
from lexigraft.studies.archive import check_archive, write_archive
from lexigraft.studies.bundle import pack
from lexigraft.studies.machine import Paths, locked
from lexigraft.studies.plan import plan
from lexigraft.studies.reading import read_study
from lexigraft.studies.worker import execute
from tests.fixtures.task import MODEL


@pytest.fixture(scope="module")
def made(task_overrides, tmp_path_factory):
    """The folder of a study, and its words, after both of its cells were run."""
    root = tmp_path_factory.mktemp("bundled")
    folder = root / "experiments" / "two-seeds"
    folder.mkdir(parents=True)
    base = [*task_overrides, "source=lac", *MODEL, "trainer.epochs=1"]
    study = {"title": "Two seeds", "axes": {"seed": [0, 1]}, "base": base, "metrics": ["test/accuracy"]}
    (folder / "study.yaml").write_text(yaml.safe_dump(study, allow_unicode=True))
    (folder / "README.md").write_text(f"Runs in {root / 'outputs'}, started in {Path.cwd()}.\n")
    words = [f"output_root={root / 'outputs'}"]
    for cell in plan(read_study(folder), words):
        execute(cell.values)
    report = root / "outputs" / "studies" / "two-seeds"
    report.mkdir(parents=True)
    (report / "table.md").write_text("| seed | accuracy |\n")
    return folder, words


@pytest.fixture
def study(made, tmp_path):
    """A copy of it whose runs lie elsewhere, to be changed."""
    folder = shutil.copytree(made[0], tmp_path / "experiments" / "two-seeds")
    outputs = made[0].parents[1] / "outputs"
    shutil.copytree(outputs, tmp_path / "outputs", ignore=shutil.ignore_patterns("*.lock"))
    return folder, [f"output_root={tmp_path / 'outputs'}"]


def unpacked(archive, folder):
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    return folder / "two-seeds"


def test_what_is_in_it(made, tmp_path):
    folder, words = made
    packed = pack(folder, tmp_path / "b.zip", words)
    assert (packed.cells, packed.of, packed.notes) == (2, 2, ())
    here = unpacked(packed.path, tmp_path)
    assert packed.files == check_archive(packed.path)
    cells = json.loads((here / "cells.json").read_text())
    assert [cell["labels"] for cell in cells] == [{"seed": "0"}, {"seed": "1"}]
    run = here / "outputs" / "runs" / cells[0]["run"]
    names = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert {"config.yaml", "result.json", "status.json", "provenance.json", "metrics.csv"} <= names
    assert not any(name.startswith(("checkpoints", "splits", "tokenizer")) for name in names)
    assert (here / "code" / "src" / "lexigraft" / "studies" / "bundle.py").is_file()
    assert (here / "code" / "conf" / "train.yaml").is_file()
    assert (here / "outputs" / "studies" / "two-seeds" / "table.md").is_file()
    lock = (here / "requirements.lock").read_text().splitlines()
    assert [line.partition("==")[0] for line in lock if line.startswith(("torch==", "hydra-core=="))] == [
        "hydra-core",
        "torch",
    ]
    (data,) = json.loads((here / "data.json").read_text())
    assert set(data["data"]["sha256"]) == {"train", "dev", "test"}


def test_no_path_of_this_machine_is_in_it(made, tmp_path):
    folder, words = made
    here = unpacked(pack(folder, tmp_path / "b.zip", words).path, tmp_path)
    places = [str(Path.cwd()), words[0].partition("=")[2], str(Path.home()), os.uname().nodename]
    for path in here.rglob("*"):
        if path.is_file() and "code" not in path.relative_to(here).parts:
            raw = path.read_bytes()
            assert not [place for place in places if place.encode() in raw and len(place) > 5], path
    run = next((here / "outputs" / "runs").iterdir())
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert (config["output_root"], config["data"]["root"]) == ("outputs", "data")
    assert read_json(run / "status.json")["host"] is None
    assert (here / "experiments" / "two-seeds" / "README.md").read_text() == "Runs in outputs, started in code.\n"


def test_equal_content_gives_equal_bytes(made, tmp_path):
    folder, words = made
    for suffix in (".zip", ".tar.gz"):
        one = pack(folder, tmp_path / f"one{suffix}", words).path.read_bytes()
        for path in folder.iterdir():
            os.utime(path, (1, 1))
        assert pack(folder, tmp_path / f"two{suffix}", words).path.read_bytes() == one


READ = """\
from pathlib import Path
import lexigraft
from lexigraft.studies.plan import plan
from lexigraft.studies.reading import read_study
from lexigraft.studies.results import read_results
assert Path(lexigraft.__file__).is_relative_to(Path.cwd()), lexigraft.__file__
cells = plan(read_study(Path("experiments/two-seeds")), ["output_root=outputs"])
print([record.values["test/accuracy"] for record in read_results(cells, ["test/accuracy"]).records])
"""


def elsewhere(here):
    return {"cwd": here, "env": {"PATH": os.environ["PATH"], "PYTHONPATH": "code/src", "PYTHON": sys.executable}}


def test_unpacked_elsewhere_its_own_code_finds_the_results(made, tmp_path):
    folder, words = made
    here = unpacked(pack(folder, tmp_path / "b.zip", words).path, tmp_path)
    done = subprocess.run([sys.executable, "-c", READ], capture_output=True, text=True, timeout=120, **elsewhere(here))
    assert done.returncode == 0, done.stderr
    results = [read_json(cell.folder / "result.json") for cell in plan(read_study(folder), words)]
    assert json.loads(done.stdout) == [result["metrics"]["test"]["accuracy"] for result in results]


@pytest.mark.skipif(find_spec("lexigraft.commands.study") is None, reason="there is no lexigraft study")
def test_its_command_makes_the_table(made, tmp_path):
    folder, words = made
    here = unpacked(pack(folder, tmp_path / "b.zip", words).path, tmp_path)
    done = subprocess.run(["bash", "remake.sh"], capture_output=True, text=True, timeout=120, **elsewhere(here))
    assert done.returncode == 0, done.stderr
    assert not (here / ".venv").exists()


def test_unfinished_cells_are_refused_unless_the_others_are_wanted(study, tmp_path):
    folder, words = study
    cell = plan(read_study(folder), words)[1]
    (cell.folder / "result.json").unlink()
    with pytest.raises(ValueError, match=r"1 of the 2 cells of study two-seeds are not finished: run .* --partial"):
        pack(folder, tmp_path / "b.zip", words)
    packed = pack(folder, tmp_path / "b.zip", words, partial=True)
    assert (packed.cells, packed.of) == (1, 2)
    assert packed.notes == ("1 of 2 cells are not finished, and not in here.",)
    assert f"Note: {packed.notes[0]}" in (unpacked(packed.path, tmp_path) / "README.txt").read_text()


def test_a_study_without_runs_has_nothing_to_pack(study, tmp_path):
    folder, _ = study
    with pytest.raises(ValueError, match="has no finished run to pack"):
        pack(folder, tmp_path / "b.zip", [f"output_root={tmp_path / 'none'}"], partial=True)


def test_runs_of_other_code_and_versions_are_told_of(study, tmp_path):
    folder, words = study
    path = plan(read_study(folder), words)[0].folder / "provenance.json"
    values = read_json(path)
    values["code"]["package_sha256"] = "0" * 64
    values["versions"]["torch"] = "1.0"
    write_json(path, values)
    first, second = pack(folder, tmp_path / "b.zip", words).notes
    assert first == "1 of 2 runs were made by other code than the one in code/."
    assert second.startswith("The runs were made with different versions of torch: 1.0, ")


def test_weights_come_along_where_they_are_asked_for(made, tmp_path):
    folder, words = made
    here = unpacked(pack(folder, tmp_path / "b.zip", words, checkpoints=True).path, tmp_path)
    assert len(list(here.glob("outputs/runs/*/checkpoints/best.ckpt"))) == 2
    assert len(list(here.glob("outputs/runs/*/tokenizer/tokenizer.json"))) == 2


def test_a_path_that_is_part_of_what_a_run_is_is_refused(study, task, tmp_path):
    folder, words = study
    study = yaml.safe_load((folder / "study.yaml").read_text())
    study["base"] += ["source=npz", f"source.path={task}/vectors.npz", "source.vocabulary=v.txt", "source.root=null"]
    (folder / "study.yaml").write_text(yaml.safe_dump(study, allow_unicode=True))
    for cell, old in zip(plan(read_study(folder), words), sorted((tmp_path / "outputs" / "runs").iterdir())):
        old.rename(cell.folder)
    with pytest.raises(ValueError, match=r"source\.path is a path of this machine, and part of what the study's runs"):
        pack(folder, tmp_path / "b.zip", words)


def test_another_ending_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(ValueError, match=r"b\.tar\.zst should end with \.zip or \.tar\.gz"):
        pack(tmp_path, tmp_path / "b.tar.zst")


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_an_archive_is_checked_file_by_file(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    files = {"b.txt": b"two", "a/run.sh": b"one"}
    assert write_archive(path, "top", files) == path.stat().st_size
    assert check_archive(path) == 2
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(ValueError, match="is damaged or no archive"):
        check_archive(path)


def test_permissions_times_and_owners_are_the_same_everywhere(tmp_path):
    write_archive(tmp_path / "a.tar.gz", "top", {"run.sh": b"", "b": b""})
    with tarfile.open(tmp_path / "a.tar.gz") as file:
        found = [(m.name, m.mode, m.mtime, m.uid, m.uname) for m in file]
    assert found == [("top/SHA256SUMS", 0o644, 0, 0, ""), ("top/b", 0o644, 0, 0, ""), ("top/run.sh", 0o755, 0, 0, "")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"top/a": b"other"}, "was changed: see a"),
        ({"top/a": None}, "lacks a"),
        ({"top/c": b""}, "has more than its list, first c"),
        ({"top/SHA256SUMS": None}, "was not written by lexigraft bundle"),
    ],
)
def test_a_changed_archive_is_found(tmp_path, change, message):
    write_archive(tmp_path / "a.zip", "top", {"a": b"1", "b": b"2"})
    with zipfile.ZipFile(tmp_path / "a.zip") as file:
        content = {name: file.read(name) for name in file.namelist()} | change
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as file:
        for name, value in content.items():
            if value is not None:
                file.writestr(name, value)
    with pytest.raises(ValueError, match=message):
        check_archive(tmp_path / "b.zip")


def command(*words):
    parser = argparse.ArgumentParser()
    arguments.bundle(parser)
    bundle.run(parser.parse_intermixed_args(words))


def test_the_command_packs_and_checks(made, tmp_path, capsys):
    folder, words = made
    command(str(folder), "--output", str(tmp_path / "b.tar.gz"), *words)
    packed = capsys.readouterr().out
    assert re.search(r"b\.tar\.gz: 2 of 2 cells, \d+ files, \d+\.\d MB\n", packed)
    command("--check", str(tmp_path / "b.tar.gz"))
    assert capsys.readouterr().out.endswith(" files, all as they were packed\n")


def test_the_command_refuses_a_second_folder(made):
    with pytest.raises(ConfigError, match="'another' is no KEY=VALUE: bundle takes one folder"):
        command(str(made[0]), "another")


def test_paths_are_replaced_where_they_are_meant():
    paths = Paths({Path("/home/me"): "~", Path("/home/me/out"): "outputs", Path("/"): "never", Path("x"): "never"})
    assert paths.replaced("'/home/me/out/runs/1', /home/me.") == "'outputs/runs/1', ~."
    assert paths.replaced("/home/me/x\n/home/me") == "~/x\n~"
    assert (
        paths.replaced("/home/meyer https://host/home/me /home/me.d") == "/home/meyer https://host/home/me /home/me.d"
    )
    assert paths.first("at /home/me/out: no") == "/home/me/out"
    assert paths.first("/home/meyer") is None


def test_the_lock_names_what_the_package_needs_and_no_place_of_it():
    lines = locked()
    assert list(lines) == sorted(lines)
    names = [line.partition("==")[0].lower() for line in lines]
    assert {"torch", "omegaconf", "typing_extensions", "tensorboard"} <= {name.replace("-", "_") for name in names}
    assert not {"lexigraft", "mypy", "ruff"} & set(names)
    assert not [line for line in lines if "@" in line or "+" in line or "/" in line]
