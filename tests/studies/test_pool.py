import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from lexigraft.runs.state import RunState, claimed
from lexigraft.studies.job import Job, Outcome
from lexigraft.studies.pool import Pool
from tests.studies.works import WORK, job

REPOSITORY = Path(__file__).parents[2]
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a process with its parent")


def run(*jobs: Job, **settings: object) -> list[Outcome]:
    with Pool(**{"jobs": 2, "work": WORK, **settings}) as pool:
        return pool.run(jobs)


def done_by(of: Job) -> int | None:
    """The process that brought a job to its end; None before."""
    result = of.folder / "result.json"
    return json.loads(result.read_text())["by"] if result.is_file() else None


def attempts(of: Job) -> int:
    """How often a process was begun, by the job's log."""
    return of.log.read_text().count(": attempt ")


def about(of: Job) -> dict:
    return json.loads((of.folder / "about.json").read_text())


def alive(pid: int) -> bool:
    """Whether a process exists that is more than a name in the table of processes."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


class Events:
    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def submitted(self, job: Job) -> None:
        self.said.append(("submitted", job.name))

    def started(self, job: Job, attempt: int) -> None:
        self.said.append((f"started {attempt}", job.name))

    def died(self, job: Job, why: str) -> None:
        self.said.append((why, job.name))

    def ended(self, outcome: Outcome) -> None:
        self.said.append((outcome.state, outcome.job.name))


# What becomes of a job.


def test_outcomes_come_in_the_order_of_the_jobs(tmp_path):
    jobs = [job(tmp_path, "slow", "sleep", seconds=0.5), *(job(tmp_path, f"quick {i}", value=i) for i in range(4))]
    outcomes = run(*jobs)
    assert [outcome.job for outcome in outcomes] == jobs
    assert [outcome.value for outcome in outcomes] == [1, 0, 1, 2, 3]
    assert {outcome.state for outcome in outcomes} == {"finished"}
    assert outcomes[0].seconds >= 0.5


def test_next_gives_whichever_job_ends_first(tmp_path):
    with Pool(2, work=WORK) as pool:
        pool.submit(job(tmp_path, "slow", "sleep", seconds=1))
        pool.submit(job(tmp_path, "quick"))
        assert pool.next().job.name == "quick"
        pool.submit(job(tmp_path, "late"))
        assert len(pool) == 2
        assert [pool.next().job.name, pool.next().job.name] == ["late", "slow"]
        with pytest.raises(LookupError, match="no job is left in the pool; submit one first"):
            pool.next()


def test_an_error_is_told_in_a_sentence_and_not_tried_again(tmp_path):
    bad = job(tmp_path, "bad", "raise")
    [outcome, other] = run(bad, job(tmp_path, "good"), retries=3)
    assert (outcome.state, outcome.error, outcome.attempts) == ("failed", "ZeroDivisionError: three by nothing", 1)
    assert RunState.read(bad.folder).name == "failed"
    log = bad.log.read_text()
    assert log.startswith("--- bad: attempt 1, ")
    assert "Traceback (most recent call last)" in log
    assert other.state == "finished"


def test_a_process_that_dies_is_begun_again(tmp_path):
    events = Events()
    [outcome] = run(job(tmp_path, "a", "kill", times=2), retries=2, watch=events)
    assert (outcome.state, outcome.value, outcome.attempts) == ("finished", 2.0, 3)
    why = "its process was killed by SIGKILL, probably out of memory"
    started = [(f"started {i}", "a") for i in (1, 2, 3)]
    assert events.said == [
        ("submitted", "a"), started[0], (why, "a"), started[1], (why, "a"), started[2], ("finished", "a"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (signal.SIGKILL, "its process was killed by SIGKILL, probably out of memory"),
        (signal.SIGSEGV, "its process was killed by SIGSEGV"),
        (signal.SIGTERM, "its process was told to stop by a signal, not by lexigraft, or left with sys.exit"),
    ],
)
def test_a_process_that_dies_time_and_again_is_given_up(tmp_path, number, why):
    [outcome] = run(job(tmp_path, "a", "kill", signal=int(number)))
    assert (outcome.state, outcome.value, outcome.attempts) == ("killed", None, 2)
    assert outcome.sentence == why
    assert "before attempt 2 dies" in outcome.error.splitlines()
    assert len(outcome.error.splitlines()) <= 16


def test_an_exit_code_without_a_result_is_a_death(tmp_path):
    [outcome] = run(job(tmp_path, "a", "leave"), retries=0)
    assert outcome.state == "killed"
    assert outcome.sentence == "its process ended with exit code 3 and without a result"


def test_a_pruned_run_is_told_from_a_finished_one(tmp_path):
    [outcome] = run(job(tmp_path, "a", "prune"))
    assert (outcome.state, outcome.value) == ("pruned", 0.25)


def test_a_value_that_is_no_number_fails_its_job(tmp_path):
    [outcome] = run(job(tmp_path, "a", "text"))
    assert outcome.state == "failed"
    assert "could not convert string to float" in outcome.error


def test_a_torn_status_ends_its_job_alone(tmp_path):
    torn, whole = run(job(tmp_path, "torn", "tear"), job(tmp_path, "whole"))
    assert torn.state in ("failed", "killed")
    assert whole.state == "finished"


def test_a_run_folder_that_cannot_be_made_fails_its_job(tmp_path):
    (tmp_path / "file").write_text("")
    bad, good = run(job(tmp_path / "file", "bad"), job(tmp_path, "good"))
    assert bad.state == "failed"
    assert "Not a directory" in bad.error
    assert good.state == "finished"


@on_linux
def test_a_full_disk_fails_the_jobs_whose_output_lies_on_it(tmp_path):
    full, other = job(tmp_path, "full", "report"), job(tmp_path, "other")
    full.folder.mkdir(parents=True)
    full.log.symlink_to("/dev/full")
    outcome, good = run(full, other)
    assert (outcome.state, outcome.error) == ("failed", "OSError: [Errno 28] No space left on device")
    assert good.state == "finished"


def test_work_that_does_not_exist_fails_each_job(tmp_path):
    [outcome] = run(job(tmp_path, "a"), work="tests.studies.nowhere:work")
    assert outcome.error == "ModuleNotFoundError: No module named 'tests.studies.nowhere'"


# Once and no oftener.


def test_a_run_that_another_process_holds_is_left_to_it(tmp_path):
    held = job(tmp_path, "a")
    with claimed(held.folder):
        [outcome] = run(held)
    assert outcome.state == "in_use"
    assert "another process works on the run" in outcome.error
    assert done_by(held) is None


def test_two_jobs_of_one_run_come_one_after_the_other(tmp_path):
    twice = [job(tmp_path, "a", "sleep", seconds=0.3) for _ in range(2)]
    first, second = run(*twice)
    assert (first.state, second.state) == ("finished", "finished")
    assert attempts(twice[0]) == 2  # the second finds it finished
    by = done_by(twice[0])
    [same] = {id(outcome.job) for outcome in run(twice[0], twice[0])}
    assert same == id(twice[0])
    assert done_by(twice[0]) == by


def test_nothing_is_lost_or_done_twice_where_processes_are_killed_at_random(tmp_path):
    jobs = [job(tmp_path, f"job {i}", "sleep", seconds=0.1) for i in range(36)]
    draw, over = random.Random(0), threading.Event()

    def kill() -> None:
        for _ in range(40):
            if over.wait(0.05):
                return
            running = [of.folder / "pid" for of in jobs if (of.folder / "pid").is_file() and done_by(of) is None]
            if running:
                pid = int(draw.choice(running).read_text() or 0)
                if pid and pid != os.getpid() and alive(pid):
                    os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        outcomes = run(*jobs, jobs=3, retries=40)
    finally:
        over.set()
        killer.join()
    assert [outcome for outcome in outcomes if outcome.state != "finished"] == []
    assert max(outcome.attempts for outcome in outcomes) > 1
    assert [attempts(of) for of in jobs] == [outcome.attempts for outcome in outcomes]
    assert all(map(done_by, jobs))


# A job's process.


def test_a_job_has_a_process_of_its_own(tmp_path, monkeypatch):
    for name in ("LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "PL_GLOBAL_SEED"):
        monkeypatch.setenv(name, "7")
    monkeypatch.setenv("LAUNCHERS", "own")
    a = job(tmp_path, "a", "report", {"MINE": "job's"}, hardware={"threads": 3})
    run(a)
    process = about(a)
    assert not {"LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "PL_GLOBAL_SEED"} & process["env"].keys()
    assert (process["env"]["LAUNCHERS"], process["env"]["MINE"]) == ("own", "job's")
    assert process["env"]["OMP_NUM_THREADS"] == "3"
    assert process["session"]
    assert process["interrupts"]
    assert process["threads"] == 1
    assert process["main"] is None  # the launcher's script is not run again
    assert "数据 \\udcff" in a.log.read_text(encoding="utf-8")


def test_each_slot_is_used_by_one_job_at_a_time(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    jobs = [job(tmp_path, f"job {i}", "report", seconds=0.15) for i in range(6)]
    run(*jobs, jobs=8, slots=["4", "7"])
    spans = {slot: [] for slot in ("4", "7")}
    for of in jobs:
        process = about(of)
        spans[process["env"]["CUDA_VISIBLE_DEVICES"]].append((process["began"], process["ended"]))
    assert all(spans.values())
    for of_slot in spans.values():
        of_slot.sort()
        assert all(before[1] <= after[0] for before, after in pairwise(of_slot))


def test_without_slots_no_device_is_chosen(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    a = job(tmp_path, "a", "report")
    run(a)
    assert "CUDA_VISIBLE_DEVICES" not in about(a)["env"]


def test_a_pool_needs_room_for_a_job():
    assert Pool(4, slots=["0", "1"]).size == 2
    assert Pool(1, slots=["0", "1"]).size == 1
    with pytest.raises(ValueError, match="jobs=0 with slots=None: at least one job has to run at a time"):
        Pool(0)
    with pytest.raises(ValueError, match=r"jobs=1 with slots=\[\]: at least one job"):
        Pool(1, slots=[])


# Stopping.


def test_a_job_that_takes_too_long_is_stopped(tmp_path):
    slow = job(tmp_path, "slow", "sleep", seconds=60)
    outcome, other = run(slow, job(tmp_path, "quick"), timeout=0.5)
    assert (outcome.state, outcome.attempts) == ("timeout", 1)
    assert outcome.error == "stopped, as it took longer than timeout=0.5 seconds"
    assert RunState.read(slow.folder).name == "interrupted"  # it could write that down
    assert other.state == "finished"


def test_a_job_that_does_not_stop_is_killed(tmp_path):
    deaf = job(tmp_path, "deaf", "stubborn", seconds=60)
    [outcome] = run(deaf, timeout=0.3, grace=0.3)
    assert outcome.state == "timeout"
    assert RunState.read(deaf.folder).name == "crashed"


@on_linux
@pytest.mark.parametrize("how", ["timeout", "kill"])
def test_what_a_job_started_dies_with_it(tmp_path, how):
    parent = job(tmp_path, "parent", "child", seconds=60)
    with Pool(1, work=WORK, timeout=0.7 if how == "timeout" else None, retries=0) as pool:
        pool.submit(parent)
        if how == "kill":
            until((parent.folder / "pid").is_file)
            until(lambda: bool((parent.folder / "pid").read_text()))
            os.kill(int((parent.folder / "pid").read_text()), signal.SIGKILL)
        assert pool.next().state == ("timeout" if how == "timeout" else "killed")
    for name in ("pid", "child", "forked"):
        until(lambda name=name: not alive(int((parent.folder / name).read_text())))


@on_linux
def test_leaving_the_pool_stops_what_runs(tmp_path):
    left, never = job(tmp_path, "left", "sleep", seconds=60), job(tmp_path, "never")
    events = Events()
    with Pool(1, work=WORK, watch=events) as pool:
        pool.submit(left)
        pool.submit(never)
        until((left.folder / "pid").is_file)
    assert events.said[-1] == ("interrupted", "left")
    assert RunState.read(left.folder).name == "interrupted"
    assert RunState.read(never.folder).name == "new"


@on_linux
def test_a_fork_server_that_is_killed_is_replaced(tmp_path):
    jobs = [job(tmp_path, f"job {i}", "sleep", seconds=0.8) for i in range(3)]
    with Pool(2, work=WORK) as pool:
        for of in jobs:
            pool.submit(of)
        until((jobs[0].folder / "pid").is_file)
        until(lambda: bool((jobs[0].folder / "pid").read_text()))
        stat = Path(f"/proc/{(jobs[0].folder / 'pid').read_text()}/stat").read_text()
        os.kill(int(stat.rpartition(")")[2].split()[1]), signal.SIGKILL)
        outcomes = [pool.next() for _ in jobs]
    assert {outcome.state for outcome in outcomes} == {"finished"}
    assert sorted(outcome.attempts for outcome in outcomes) == [1, 2, 2]


# The launcher: a script of its own, which can be stopped.

SCRIPT = """
import sys
from pathlib import Path
from lexigraft.studies.pool import Pool
from tests.studies.works import WORK, job

jobs = [job(Path(sys.argv[1]), f"job {i}", "sleep", seconds=float(sys.argv[2])) for i in range(8)]
try:
    with Pool(2, work=WORK) as pool:
        print("states", *(outcome.state for outcome in pool.run(jobs)))
finally:
    print("torch", "torch" in sys.modules)
"""


def start(script: Path, root: Path, seconds: float) -> subprocess.Popen[str]:
    """The script in a session of its own: eight jobs that take so many seconds, two at a time."""
    return subprocess.Popen(
        [sys.executable, script, root, str(seconds)],
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{script.parent}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def launcher(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    return lambda root, seconds: start(script, root, seconds)


def jobs_of(root: Path, seconds: float) -> list[Job]:
    return [job(root, f"job {i}", "sleep", seconds=seconds) for i in range(8)]


def pids(jobs: list[Job]) -> list[int]:
    texts = [(of.folder / "pid").read_text() for of in jobs if (of.folder / "pid").is_file()]
    return [int(text) for text in texts if text]


def test_the_launcher_stays_light(tmp_path, launcher):
    out, err = launcher(tmp_path, 0.01).communicate(timeout=60)
    assert out == f"states{' finished' * 8}\ntorch False\n"
    assert err == ""


@on_linux
def test_interrupted_jobs_write_down_how_far_they_came(tmp_path, launcher):
    jobs = jobs_of(tmp_path, 1.0)
    process = launcher(tmp_path, 1.0)
    until(lambda: len(pids(jobs)) == 2)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all in the foreground
    _, err = process.communicate(timeout=30)
    assert process.returncode in (-signal.SIGINT, 130)
    assert err.rstrip().endswith("KeyboardInterrupt")
    states = [RunState.read(of.folder).name for of in jobs]
    assert states == ["interrupted"] * 2 + ["new"] * 6
    assert {outcome.state for outcome in run(*jobs, jobs=8)} == {"finished"}


@on_linux
def test_no_job_outlives_a_launcher_that_is_killed(tmp_path, launcher):
    jobs = jobs_of(tmp_path, 0.5)
    process = launcher(tmp_path, 0.5)
    until(lambda: len(list(filter(done_by, jobs))) >= 2 and len(pids(jobs)) >= 4)
    begun = pids(jobs)
    process.kill()
    process.communicate(timeout=30)
    until(lambda: not any(map(alive, begun)))
    finished = {of.name: by for of in jobs if (by := done_by(of))}
    assert 2 <= len(finished) < 8
    assert {outcome.state for outcome in run(*jobs, jobs=4)} == {"finished"}
    assert finished.items() <= {of.name: done_by(of) for of in jobs}.items()  # none was done again


@on_linux
def test_a_second_interrupt_does_not_wait_for_jobs_that_do_not_stop(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace('"sleep"', '"stubborn"').replace("work=WORK", "work=WORK, grace=600"))
    jobs = [job(tmp_path, f"job {i}", "stubborn", seconds=60.0) for i in range(8)]
    process = start(script, tmp_path, 60.0)
    until(lambda: len(pids(jobs)) == 2)
    os.killpg(process.pid, signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    until(lambda: not any(map(alive, pids(jobs))))


def test_while_the_server_imports_an_interrupt_ends_the_launcher_at_once(tmp_path):
    (tmp_path / "slow.py").write_text(f"open({str(tmp_path / 'importing')!r}, 'w')\nimport time\ntime.sleep(600)\n")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("work=WORK", "work='slow:work'"))
    process = start(script, tmp_path, 0.0)
    until((tmp_path / "importing").is_file)
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert not (tmp_path / "runs").exists()


def test_a_fork_server_that_cannot_start_ends_the_pool(tmp_path):
    (tmp_path / "broken.py").write_text("raise ZeroDivisionError('at import')\n")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("work=WORK", "work='broken:work'"))
    process = start(script, tmp_path, 0.0)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "ZeroDivisionError: at import" in err
    assert "RuntimeError: the fork server ends before it serves" in err
