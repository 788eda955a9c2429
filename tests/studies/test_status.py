import io
import time

import pytest
from filelock import FileLock
from rich.console import Console

from lexigraft.runs.folder import LOCK, LOG
from lexigraft.studies.status import duration, estimates, status, status_text
from tests.studies.cells_done import cells_of, finish, leave


def text_of(found) -> str:
    console = Console(width=150, file=io.StringIO())
    console.print(status_text(found))
    return console.file.getvalue()


def test_counts_troubles_and_time_left(tmp_path):
    cells = cells_of(tmp_path, {"model": ["big", "small"], "seed": range(5)})
    for cell, seconds in zip(cells, (100.0, 300.0, 110.0)):
        finish(cell, 0.5, seconds)
    leave(cells[3], "failed", "CUDA out of memory: 3 GB\nwere wanted")
    (cells[3].folder / LOG).write_text("Traceback ...")
    finish(cells[5], 0.5, 10.0)
    leave(cells[6], "running", started=time.time() - 4)
    leave(cells[7], "running")
    leave(cells[8], "interrupted", "Ctrl-C")
    with FileLock(cells[6].folder / LOCK):
        found = status(cells, repeats=["seed"], jobs=8)
    assert dict(found.counts) == {"finished": 4, "running": 1, "failed": 1, "crashed": 1, "interrupted": 1, "new": 2}
    assert found.total == 10
    assert [(t.labels["seed"], t.run.state, t.log) for t in found.troubles] == [
        ("3", "failed", cells[3].folder / LOG), ("2", "crashed", None),
    ]  # fmt: skip
    # One job is at work: a big cell (the median of three), three small ones, and the rest of the running one.
    assert found.jobs == 1
    assert found.seconds_left == pytest.approx(110 + 3 * 10 + 6, abs=1)
    lines = text_of(found).splitlines()
    assert lines[0] == "10 cells: 4 done, 1 running, 1 failed, 1 crashed, 1 interrupted, 2 left"
    assert lines[1] == "time left: 2 min with 1 job"
    assert any("model=big seed=3" in line and "CUDA out of memory: 3 GB" in line for line in lines)
    assert "its process died" in text_of(found)
    assert LOG in text_of(found)


def test_before_the_first_cell_and_after_the_last(tmp_path):
    cells = cells_of(tmp_path, {"seed": [0, 1]})
    found = status(cells, jobs=2)
    assert (dict(found.counts), found.seconds_left, found.jobs) == ({"new": 2}, None, 2)
    assert "unknown until a cell has finished" in text_of(found)
    for cell in cells:
        finish(cell, 0.5)
    found = status(cells)
    assert (dict(found.counts), found.seconds_left) == ({"finished": 2}, 0.0)
    assert text_of(found).splitlines() == ["2 cells: 2 done"]


def test_time_left_is_no_less_than_that_of_the_longest_cell_and_counts_a_run_once(tmp_path):
    cells = cells_of(tmp_path, {"model": ["big", "small"], "seed": [0, 1]})
    finish(cells[0], 0.5, 100.0)
    finish(cells[2], 0.5, 10.0)
    assert status(cells, ["seed"], jobs=1).seconds_left == 110
    assert status(cells, ["seed"], jobs=4).seconds_left == 100
    assert status([*cells, cells[1]], ["seed"], jobs=1).seconds_left == 110


def test_a_damaged_run_is_in_trouble(tmp_path):
    cells = cells_of(tmp_path, {"seed": [0, 1]})
    for cell in cells:
        finish(cell, 0.5)
    (cells[1].folder / "result.json").write_text("{")
    found = status(cells)
    assert dict(found.counts) == {"finished": 1, "damaged": 1}
    assert "result.json is damaged" in (found.troubles[0].run.error or "")


def test_estimates_are_of_the_most_similar_cells():
    labels = [
        {"model": model, "data": data, "seed": str(seed)}
        for model in ("big", "small")
        for data in ("long", "short")
        for seed in (0, 1)
    ]
    seconds = [80.0, None, 20.0, None, 8.0, None, None, None]
    # (small, short) shares a label with (big, short) and with (small, long).
    assert estimates(labels, seconds, ["seed"]) == [80.0, 80.0, 20.0, 20.0, 8.0, 8.0, 14.0, 14.0]
    assert estimates(labels, [None] * 8, ["seed"]) == [None] * 8
    assert estimates([{}, {}], [3.0, None]) == [3.0, 3.0]
    assert estimates([], []) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (89, "89 s"), (90, "2 min"), (3540, "59 min"), (3600, "1 h 00 min"), (11100, "3 h 05 min"),
        (86400, "1 day 0 h"), (187_000, "2 days 4 h"),
    ],
)  # fmt: skip
def test_durations(seconds, text):
    assert duration(seconds) == text
