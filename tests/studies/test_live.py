import io
from pathlib import Path

import pytest
from rich.console import Console

from lexigraft.studies.job import Job, Outcome
from lexigraft.studies.live import Live
from lexigraft.studies.pool import Pool
from tests.studies.works import WORK, job


def plain() -> Console:
    return Console(file=io.StringIO(), width=60)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def a_job(name: str = "seed=[0]", root: Path = Path("nowhere")) -> Job:
    return Job(name, {"output_root": str(root), "name": name})


def test_without_a_terminal_each_event_is_a_line(tmp_path):
    console = plain()
    with Live(console, total=3, done=1) as watch, Pool(1, work=WORK, watch=watch) as pool:
        pool.run([job(tmp_path, "model=[a]", value=0.75), bad := job(tmp_path, "seed=1", "raise")])
    first, second, third, fourth, summary, failure = text(console).splitlines()
    assert first == "started   model=[a]"
    assert second.startswith("finished  model=[a]  0.7500  ")
    assert "s  (2 done, 0 running, 1 left, about " in second
    assert third == "started   seed=1"
    told = f"failed    seed=1: ZeroDivisionError: three by nothing ({bad.log})"
    assert fourth == f"{told}  (2 done, 0 running, 0 left, 1 failed)"
    assert summary.startswith("2 of 3 runs have a result, after ")
    assert summary.endswith(" s; 1 without one")
    assert failure == told
    assert [outcome.job for outcome in watch.failures] == [bad]


def test_a_job_that_is_begun_again_is_told_of(tmp_path):
    console = plain()
    with Live(console) as watch, Pool(1, work=WORK, watch=watch) as pool:
        pool.run([job(tmp_path, "a", "kill", times=1)])
    lines = text(console).splitlines()
    assert lines[1] == "died      a: its process was killed by SIGKILL, probably out of memory; it will be begun again"
    assert lines[2] == "started   a, attempt 2"
    assert lines[-1].startswith("1 of 1 runs have a result")


def test_a_killed_job_is_told_in_one_line():
    console = plain()
    with Live(console) as watch:
        watch.ended(Outcome(a_job(), "killed", error="killed by SIGKILL\nlast line"))
    assert "last line" not in text(console)
    assert "killed    seed=[0]: killed by SIGKILL" in text(console)


def test_on_a_terminal_a_table_shows_what_runs():
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    with Live(console, total=4) as watch:
        one, two = a_job("first"), a_job("second")
        for of in (one, two):
            watch.submitted(of)
        watch.started(one, 1)
        watch.started(two, 2)
        with console.capture() as shown:
            console.print(watch.table())
        assert "running   first" in shown.get()
        assert "running   second, attempt 2" in shown.get()
        assert "0 done, 2 running, 2 left" in shown.get()
        watch.ended(Outcome(one, "finished", 0.5, seconds=2.0))
        with console.capture() as shown:
            console.print(watch.table())
        assert "first" not in shown.get()
        assert "1 done, 1 running, 2 left, about " in shown.get()
    assert "finished  first  0.5000  2.0 s" in text(console)
    assert "1 of 4 runs have a result" in text(console)
    assert "3 not ended" in text(console)


def test_the_time_that_is_left_is_judged_by_that_of_those_before():
    watch = Live(plain(), total=5)
    assert watch.eta() is None
    jobs = [a_job(str(i)) for i in range(4)]
    for of in jobs[:2]:
        watch.started(of, 1)
    watch.ended(Outcome(jobs[0], "finished", seconds=100.0))
    watch.ended(Outcome(jobs[1], "failed", seconds=300.0))
    assert watch.eta() == pytest.approx(3 * 200 / 2)
    watch.started(jobs[2], 1)
    assert watch.eta() == pytest.approx(3 * 200 / 2, abs=1)
