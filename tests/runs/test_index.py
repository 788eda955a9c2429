import json
import multiprocessing
import os
import sqlite3
import time
from pathlib import Path

import pytest
from filelock import FileLock

from lexigraft.runs.folder import LOCK, write_json
from lexigraft.runs.index import Index, refresh
from lexigraft.runs.state import Name, RunState, claimed

METRICS = {"dev": {"accuracy": 0.8, "roc_auc": None, "per_class": {"a": {"f1": 1.0}}, "confusion": [[1]], "count": 4}}


def id_of(number: int) -> str:
    return f"{number:016x}"


def write_run(
    root: Path, number: int, state: Name = "finished", accuracy: float | None = 0.9, **status: object
) -> Path:
    """A run folder as `lexigraft train` leaves it; without `accuracy` it has no result."""
    folder = root / "runs" / id_of(number)
    folder.mkdir(parents=True, exist_ok=True)
    if accuracy is not None:
        result = {
            "status": "finished", "monitor": "accuracy", "best": {"epoch": 2, "step": 8, "value": 0.75},
            "metrics": METRICS | {"test": {"accuracy": accuracy}, "test/topic": {"accuracy": 0.5}},
            "history": [{"epoch": 1}], "counts": {"texts": {"train": 240}, "parameters": 99},
            "precision": "32", "device": "cpu", "seconds": {"train": 3.0, "total": 4.5},
        }  # fmt: skip
        write_json(folder / "result.json", result)
        code = {"package_sha256": "c0de", "git_commit": "abcd", "git_diff": "+ a line"}
        write_json(folder / "provenance.json", {"data": {"name": "d", "sha256": {"train": "1"}}, "code": code})
    RunState(state, 1, 100.0, 110.0, **status).write(folder)  # type: ignore[arg-type]
    return folder


def contents(root: Path) -> dict[str, str]:
    with sqlite3.connect(root / "runs" / "index.sqlite") as base:
        return {id: content for id, _, content in base.execute("SELECT * FROM runs")}


def test_a_finished_run(tmp_path):
    folder = write_run(tmp_path, 1)
    run = refresh(tmp_path).run(id_of(1))
    assert (run.state, run.attempts, run.started, run.ended, run.error) == ("finished", 1, 100.0, 110.0, None)
    assert (run.monitor, run.precision, run.device, run.code, run.commit) == (
        "accuracy", "32", "cpu", "c0de", "abcd",
    )  # fmt: skip
    assert dict(run.metrics) == {
        "dev/accuracy": 0.8, "dev/roc_auc": None, "dev/count": 4, "test/accuracy": 0.9, "test/topic/accuracy": 0.5,
        "best/epoch": 2, "best/step": 8, "best/value": 0.75, "seconds/train": 3.0, "seconds/total": 4.5,
        "counts/texts/train": 240, "counts/parameters": 99,
    }  # fmt: skip
    assert run.seconds == 4.5
    assert (run.folder, run.config) == (folder, folder / "config.yaml")


def test_a_run_of_the_command_line(trained):
    run = refresh(trained.parent.parent).run(trained.name)
    assert (run.state, run.folder, run.monitor, run.device) == ("finished", trained, "accuracy", "cpu")
    assert {
        "dev/accuracy", "test/macro_f1", "best/value", "seconds/total", "counts/texts/train", "speed/samples_per_second"
    } <= run.metrics.keys()  # fmt: skip
    assert all(len(of or "") == 64 for of in (run.code, run.data))


def test_runs_are_in_the_order_of_their_ids_and_nothing_else_is_a_run(tmp_path):
    for number in (7, 3, 5):
        write_run(tmp_path, number)
    (tmp_path / "runs" / "notes").mkdir()
    (tmp_path / "runs" / id_of(9)).write_text("a file")
    assert list(refresh(tmp_path).runs) == [id_of(3), id_of(5), id_of(7)]
    assert list(refresh(tmp_path).runs) == [id_of(3), id_of(5), id_of(7)]


def test_without_runs_nothing_is_written(tmp_path):
    assert refresh(tmp_path / "none") == Index(tmp_path / "none", {})
    assert not (tmp_path / "none").exists()
    run = refresh(tmp_path).run(id_of(1))
    assert (run.state, run.folder) == ("new", tmp_path / "runs" / id_of(1))


def test_only_what_changed_is_read_again(tmp_path):
    for number in range(4):
        write_run(tmp_path, number)
    assert refresh(tmp_path).read == 4
    first = refresh(tmp_path)
    assert first.read == 0
    write_run(tmp_path, 2, accuracy=0.1)
    second = refresh(tmp_path)
    assert second.read == 1
    assert second.run(id_of(2)).metrics["test/accuracy"] == 0.1
    assert {id: run for id, run in second.runs.items() if id != id_of(2)} == {
        id: run for id, run in first.runs.items() if id != id_of(2)
    }
    assert refresh(tmp_path).read == 0


def test_a_content_of_the_same_size_and_time_is_noticed(tmp_path):
    folder = write_run(tmp_path, 1, accuracy=0.9)
    refresh(tmp_path)
    before = (folder / "result.json").stat()
    write_run(tmp_path, 1, accuracy=0.8)
    os.utime(folder / "result.json", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (folder / "result.json").stat().st_size == before.st_size
    assert refresh(tmp_path).run(id_of(1)).metrics["test/accuracy"] == 0.8


def test_a_deleted_index_loses_nothing_and_a_deleted_run_is_gone(tmp_path):
    for number in range(3):
        write_run(tmp_path, number)
    write_run(tmp_path, 3, "failed", accuracy=None, error="NaN")
    before = refresh(tmp_path)
    (tmp_path / "runs" / "index.sqlite").unlink()
    assert refresh(tmp_path) == before
    folder = tmp_path / "runs" / id_of(1)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    assert list(refresh(tmp_path).runs) == [id_of(0), id_of(2), id_of(3)]
    assert list(contents(tmp_path)) == [id_of(0), id_of(2), id_of(3)]


def test_an_index_goes_with_its_folder(tmp_path):
    write_run(tmp_path / "here", 1)
    refresh(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    there = refresh(tmp_path / "there")
    assert there.run(id_of(1)).folder == tmp_path / "there" / "runs" / id_of(1)


@pytest.mark.parametrize(
    ("torn", "sentence"),
    [
        ('{"status": "fini', "result.json is damaged"),
        ("[1, 2]", "result.json is damaged (it holds a list, but an object is expected)"),
        ("{}", "damaged (it has no 'metrics')"),
        ('{"status": "finished", "metrics": {"test": 1}}', "result.json is damaged"),
        ("", "result.json is damaged"),
    ],
)
def test_a_torn_result_is_told_and_leaves_others_alone(tmp_path, torn, sentence):
    for number in range(3):
        write_run(tmp_path, number)
    good = refresh(tmp_path).runs
    result = tmp_path / "runs" / id_of(1) / "result.json"
    whole = result.read_text()
    result.write_text(torn)
    for _ in range(2):
        found = refresh(tmp_path)
        assert found.run(id_of(1)).state == "damaged"
        assert sentence in (found.run(id_of(1)).error or "")
        assert found.run(id_of(0)) == good[id_of(0)]
        assert found.run(id_of(2)) == good[id_of(2)]
        assert not found.warnings
    result.write_text(whole)
    assert refresh(tmp_path).runs == good


def test_a_finished_run_without_its_result(tmp_path):
    write_run(tmp_path, 1, accuracy=None)
    run = refresh(tmp_path).run(id_of(1))
    assert run.state == "damaged"
    assert "result.json is missing from a finished run" in (run.error or "")


@pytest.mark.parametrize("torn", ['{"name": "runn', '{"name": "asleep"}', '{"name": "failed", "colour": "red"}', "3"])
def test_a_torn_status_is_told_unless_the_result_is_there(tmp_path, torn):
    (write_run(tmp_path, 1, "failed", accuracy=None) / "status.json").write_text(torn)
    (write_run(tmp_path, 2) / "status.json").write_text(torn)
    found = refresh(tmp_path)
    assert found.run(id_of(1)).state == "damaged"
    assert "status.json" in (found.run(id_of(1)).error or "")
    assert found.run(id_of(2)).state == "finished"


def test_a_run_that_died_between_result_and_status_is_finished(tmp_path):
    write_run(tmp_path, 1, "running")
    assert refresh(tmp_path).run(id_of(1)).state == "finished"


def test_a_result_without_provenance_counts(tmp_path):
    (write_run(tmp_path, 1) / "provenance.json").unlink()
    run = refresh(tmp_path).run(id_of(1))
    assert (run.state, run.code, run.commit, run.data) == ("finished", None, None, None)


def test_whether_a_run_lives_is_asked_each_time(tmp_path):
    folder = write_run(tmp_path, 1, "running", accuracy=None)
    assert refresh(tmp_path).run(id_of(1)).state == "crashed"
    with FileLock(folder / LOCK):
        found = refresh(tmp_path)
        assert (found.run(id_of(1)).state, found.read) == ("running", 0)
    assert refresh(tmp_path).run(id_of(1)).state == "crashed"
    with pytest.raises(RuntimeError), claimed(folder):
        raise RuntimeError("no memory")
    run = refresh(tmp_path).run(id_of(1))
    assert (run.state, run.error, run.attempts) == ("failed", "no memory", 2)


def test_a_damaged_index_is_made_anew(tmp_path):
    write_run(tmp_path, 1)
    good = refresh(tmp_path)
    file = tmp_path / "runs" / "index.sqlite"
    file.write_bytes(b"no database" * 500)
    found = refresh(tmp_path)
    assert found.runs == good.runs
    assert found.warnings == (f"the index {file} was damaged and is made anew from the run folders",)
    again = refresh(tmp_path)
    assert (again.read, again.warnings) == (0, ())


def test_rows_of_an_index_that_cannot_be_read_are_read_from_folders(tmp_path):
    write_run(tmp_path, 1)
    good = refresh(tmp_path)
    with sqlite3.connect(tmp_path / "runs" / "index.sqlite") as base:
        base.execute("UPDATE runs SET content = '{\"colour\": 1}'")
    assert refresh(tmp_path).runs == good.runs
    with sqlite3.connect(tmp_path / "runs" / "index.sqlite") as base:
        base.execute("PRAGMA user_version = 1")
    found = refresh(tmp_path)
    assert (found.runs, found.read) == (good.runs, 1)
    assert json.loads(contents(tmp_path)[id_of(1)])["state"] == "finished"


def test_a_locked_index_is_done_without(tmp_path, monkeypatch):
    write_run(tmp_path, 1)
    good = refresh(tmp_path)
    write_run(tmp_path, 2)
    monkeypatch.setattr("lexigraft.runs.index._PATIENCE", 0.05)
    base = sqlite3.connect(tmp_path / "runs" / "index.sqlite", isolation_level=None)
    base.execute("BEGIN EXCLUSIVE")
    found = refresh(tmp_path)
    base.execute("ROLLBACK")
    base.close()
    assert found.run(id_of(1)) == good.run(id_of(1))
    assert found.run(id_of(2)).state == "finished"
    assert "database is locked" in found.warnings[0]
    assert not refresh(tmp_path).warnings


def test_an_index_that_cannot_be_written_is_done_without(tmp_path):
    write_run(tmp_path, 1)
    (tmp_path / "runs" / "index.sqlite").mkdir()  # root may write to read-only folders, but not to this
    for _ in range(2):
        found = refresh(tmp_path)
        assert found.run(id_of(1)).state == "finished"
        assert "cannot be written" in found.warnings[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes to read-only folders")
def test_a_read_only_folder_is_read(tmp_path):
    write_run(tmp_path, 1)
    (tmp_path / "runs").chmod(0o555)
    try:
        found = refresh(tmp_path)
    finally:
        (tmp_path / "runs").chmod(0o755)
    assert found.run(id_of(1)).state == "finished"
    assert "cannot be written" in found.warnings[0]


def _refresh_until(root: Path, end: float, said: "multiprocessing.Queue[object]") -> None:
    warnings: set[str] = set()
    while time.time() < end:
        warnings.update(refresh(root).warnings)
    said.put(warnings)


def test_many_may_refresh_at_once(tmp_path):
    for number in range(20):
        write_run(tmp_path, number)
    context = multiprocessing.get_context("fork")
    said, end = context.Queue(), time.time() + 1.0
    workers = [context.Process(target=_refresh_until, args=(tmp_path, end, said)) for _ in range(3)]
    for worker in workers:
        worker.start()
    number = 0
    while time.time() < end:
        write_run(tmp_path, number % 20, accuracy=round(0.5 + number / 10_000, 4))
        number += 1
    found = [said.get(timeout=30) for _ in workers]
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert found == [set()] * 3
    last = refresh(tmp_path)
    (tmp_path / "runs" / "index.sqlite").unlink()
    assert last == refresh(tmp_path)


def _write_index_for_ever(root: Path) -> None:
    while True:
        (root / "runs" / "index.sqlite").unlink(missing_ok=True)
        refresh(root)


def test_a_killed_refresh_leaves_nothing_wrong(tmp_path):
    for number in range(50):
        write_run(tmp_path, number)
    good = refresh(tmp_path).runs
    for milliseconds in (10, 23, 31, 47, 59):
        worker = multiprocessing.get_context("fork").Process(target=_write_index_for_ever, args=(tmp_path,))
        worker.start()
        time.sleep(milliseconds / 1000)
        worker.kill()
        worker.join()
        assert refresh(tmp_path).runs == good
        assert refresh(tmp_path).read == 0
