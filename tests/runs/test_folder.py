import json
from pathlib import Path

import pytest

from lexigraft.runs.folder import RunFolder, read_json, require_writable, write_json, write_text

VALUES = {"seed": 0, "data": {"name": "x", "root": "a"}, "output_root": "outputs", "experiment": "exp"}


def test_a_run_s_folder_is_named_by_what_decides_its_result(tmp_path):
    run = RunFolder.of(VALUES)
    assert run.path.parent == Path("outputs/runs")
    other = RunFolder.of({**VALUES, "experiment": "other", "output_root": str(tmp_path)})
    assert other.path == tmp_path / "runs" / run.path.name
    assert RunFolder.of({**VALUES, "seed": 1}).path != run.path


def test_beginning_again_keeps_what_is_there_and_clearing_does_not(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.begin("seed: 0\n")
    run.last.write_text("x")
    for name in ("status.json", "run.lock", "log.txt", "result.json"):
        (run.path / name).write_text("{}")
    run.begin("seed: 0\n")
    assert run.last.read_text() == "x"
    assert run.config.read_text() == "seed: 0\n"
    run.clear()
    assert sorted(path.name for path in run.path.iterdir()) == ["log.txt", "run.lock", "status.json"]


@pytest.mark.parametrize(("content", "finished"), [('{"status": "finished"}', True), ('{"status": "pruned"}', False)])
def test_a_run_is_finished_by_its_result(tmp_path, content, finished):
    run = RunFolder(tmp_path)
    assert run.finished_result() is None
    run.result.write_text(content)
    assert (run.finished_result() is not None) == finished


def test_opening_a_folder_that_is_no_run_says_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"is not a finished run: it has no config.yaml"):
        RunFolder.open(tmp_path)


def test_a_root_that_cannot_be_written_is_a_sentence_and_nothing_is_made(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("x")
    require_writable(tmp_path / "new" / "folder", "output_root")
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(ValueError, match=f"nothing can be written to output_root=.*: {file} is a file"):
        require_writable(file / "below", "output_root")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(ValueError, match=f"{tmp_path} is read-only for this user; give another folder"):
        require_writable(tmp_path, "output_root")


@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_a_damaged_record_is_named(tmp_path, content):
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(ValueError, match=r"result.json .* copy the folder again"):
        read_json(tmp_path / "result.json")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", {"好": 1})
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"好": 1}


def test_no_temporary_file_stays(tmp_path):
    write_text(tmp_path / "a", "x")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
