import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from lexigraft.runs.state import RunState, claimed
from lexigraft.studies.cluster import LocalJobs, SlurmJobs
from tests.studies import slurm
from tests.studies.works import WORK, job

ROOT = str(Path(__file__).parents[2])


@pytest.fixture(autouse=True)
def this_repository(monkeypatch):
    """Jobs import the tests' work, wherever they are started."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [ROOT, os.environ.get("PYTHONPATH")])))


class Watch:
    """Notes what a pool tells, and how many jobs ran at most at a time."""

    def __init__(self):
        self.events, self.running, self.most = [], 0, 0

    def submitted(self, job):
        self.events.append(("submitted", job.name))

    def started(self, job, attempt):
        self.events.append(("started", job.name, attempt))
        self.running += 1
        self.most = max(self.most, self.running)

    def died(self, job, why):
        self.events.append(("died", job.name, why))
        self.running -= 1

    def ended(self, outcome):
        self.events.append(("ended", outcome.job.name, outcome.state))
        self.running -= 1


def test_jobs_of_every_fate_go_on_side_by_side_and_are_told_of(tmp_path):
    watch = Watch()
    jobs = [job(tmp_path, "bad", "raise"), job(tmp_path, "dead", "kill"), job(tmp_path, "same", value=0.25)]
    with LocalJobs(jobs=2, retries=1, watch=watch, work=WORK) as pool:
        bad, dead, *same = pool.run([*jobs, jobs[-1]])
    assert watch.most == 2
    assert (bad.job, bad.state, bad.error, bad.attempts) == (
        jobs[0],
        "failed",
        "ZeroDivisionError: three by nothing",
        1,
    )
    assert RunState.read(jobs[0].folder).traceback.startswith("Traceback")
    assert "ZeroDivisionError: three by nothing" in jobs[0].log.read_text()
    assert (dead.state, dead.attempts) == ("killed", 2)
    assert dead.sentence.startswith("its process ended without a result (submitit says ")
    assert str(tmp_path / "submitit") in dead.sentence
    assert "before attempt 2 dies" in dead.error
    assert [(outcome.state, outcome.value) for outcome in same] == [("finished", 0.25)] * 2
    # The second came after the first and found the run done.
    assert json.loads((jobs[-1].folder / "result.json").read_text())["by"] != RunState.read(jobs[-1].folder).pid
    assert ("started", "dead", 2) in watch.events
    assert [event[:2] for event in watch.events].count(("died", "dead")) == 1


def test_a_run_that_another_process_works_on_is_left_alone(tmp_path):
    taken = job(tmp_path, "taken")
    with claimed(taken.folder), LocalJobs(work=WORK) as pool:
        pool.submit(taken)
        assert len(pool) == 1
        outcome = pool.next()
    assert outcome.state == "in_use"
    assert "another process works on the run" in outcome.error
    with LocalJobs(work=WORK) as pool, pytest.raises(LookupError, match="no job is left"):
        pool.next()


def test_a_job_whose_time_is_up_is_queued_again_and_goes_on(tmp_path):
    """Preempted once by the signal that submitit gives 30 seconds before the end; the new process finishes."""
    long = job(tmp_path, "long", "kill", signal=signal.SIGUSR2, times=1)
    with LocalJobs(timeout_min=1, requeues=2, work=WORK) as pool:
        [outcome] = pool.run([long])
    assert (outcome.state, outcome.value, outcome.attempts) == ("finished", 2.0, 1)
    assert RunState.read(long.folder).attempts == 2


def test_a_job_whose_time_is_up_too_often_ends_in_a_timeout(tmp_path):
    long = job(tmp_path, "long", "kill", signal=signal.SIGUSR2)
    with LocalJobs(timeout_min=1, requeues=0, work=WORK) as pool:
        [outcome] = pool.run([long])
    assert outcome.state == "timeout"
    assert "timed-out too many times" in outcome.error


def test_leaving_stops_what_runs(tmp_path):
    endless = job(tmp_path, "endless", "sleep", seconds=600)
    with LocalJobs(work=WORK) as pool:
        pool.submit(endless)
        pid_in(endless.folder / "pid")
    assert RunState.read(endless.folder).name == "interrupted"


def test_no_room_for_any_job():
    with pytest.raises(ValueError, match="jobs=0: at least one job has to run at a time"):
        LocalJobs(jobs=0)


def test_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ImportError, match=r"pip install 'lexigraft\[cluster\]'"), LocalJobs():
        pass


def test_a_machine_without_slurm(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ValueError, match="there are no commands sbatch and srun here"), SlurmJobs():
        pass


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """The folder of a stand-in for SLURM, whose commands are on the path."""
    folder = slurm.install(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(SlurmJobs, "poll", 0.1)
    monkeypatch.setattr(SlurmJobs, "late", 0.5)  # files are on this machine
    return folder


def test_slurm_jobs_are_an_array_of_which_so_many_run_at_a_time(tmp_path, cluster):
    watch = Watch()
    jobs = [job(tmp_path, "good"), job(tmp_path, "cut", "prune"), job(tmp_path, "weak", "kill", times=1)]
    settings = {"partition": "gpu", "account": "mine", "mem_gb": 7.5, "cpus_per_task": 3, "gpus_per_node": 1}
    settings |= {"setup": ["export FROM_SETUP=1"], "parameters": {"constraint": "a100"}}
    with SlurmJobs(jobs=2, timeout_min=30, watch=watch, work=WORK, **settings) as pool:
        outcomes = pool.run(jobs)
    assert [(outcome.state, outcome.value) for outcome in outcomes] == [
        ("finished", 1.0), ("pruned", 0.25), ("finished", 2.0),
    ]  # fmt: skip
    assert outcomes[-1].attempts == 2
    first, second = slurm.scripts(cluster)
    for line in (
        "--array=0-2%2", "--partition=gpu", "--account=mine", "--mem=7680MB", "--cpus-per-task=3", "--gpus-per-node=1",
        "--time=30", "--constraint=a100", "--job-name=lexigraft", "--signal=USR2@90",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in first
    assert "export FROM_SETUP=1" in first
    assert "--array" not in second
    assert slurm.most_at_once(cluster) == 2


def test_what_slurm_says_of_a_job_without_a_result(tmp_path, cluster):
    jobs = [job(tmp_path, name, "sleep", seconds=600) for name in ("slow", "unwanted")]
    with SlurmJobs(jobs=2, retries=0, work=WORK) as pool:
        for one in jobs:
            pool.submit(one)
        for one, state in zip(jobs, ("TIMEOUT", "CANCELLED by 0")):
            slurm.end(cluster, pid_in(one.folder / "pid"), state)
        outcomes = {outcome.job.name: outcome for outcome in (pool.next(), pool.next())}
    assert {name: outcome.state for name, outcome in outcomes.items()} == {"slow": "timeout", "unwanted": "interrupted"}
    assert "submitit says CANCELLED BY 0" in outcomes["unwanted"].error


def test_a_preempted_slurm_job_is_queued_again(tmp_path, cluster):
    long = job(tmp_path, "long", "kill", signal=signal.SIGUSR2, times=1)
    with SlurmJobs(work=WORK) as pool:
        [outcome] = pool.run([long])
    assert (outcome.state, outcome.value, outcome.attempts) == ("finished", 2.0, 1)
    assert RunState.read(long.folder).attempts == 2


def pid_in(file):
    """The number in a file that is still to come."""
    while not file.exists() or not file.read_text():
        time.sleep(0.05)
    return int(file.read_text())
