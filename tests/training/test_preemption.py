import os
import signal
import subprocess
import sys
import threading

import pytest

from lexigraft.training.preemption import Preempted, Preemption, requeue

JOB = {"SLURM_JOB_ID": "17"}


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A `scontrol` that writes down how it was called; the function sets what it says and with which code it ends."""

    def install(state="RUNNING", code=0, said=""):
        program = tmp_path / "scontrol"
        program.write_text(
            f"#!{sys.executable}\n"
            "import sys\n"
            f"open({str(tmp_path / 'calls')!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
            f"if sys.argv[1] == 'show': print('JobId=17 JobState={state} Reason=None')\n"
            f"else: sys.exit({said!r} or {code})\n"
        )
        program.chmod(0o755)
        return lambda: (tmp_path / "calls").read_text().splitlines()

    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return install


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_is_noted_and_obeyed_later(number):
    before, preemption = signal.getsignal(number), Preemption()
    with preemption.noted():
        os.kill(os.getpid(), number)
        assert preemption.received == number
        with pytest.raises(Preempted) as stopped:
            preemption.leave()
    assert stopped.value.code == 128 + number
    assert str(stopped.value) == f"the run made way at {number.name}"
    assert signal.getsignal(number) is before


def test_ctrl_c_is_obeyed_later_and_at_once_the_second_time():
    preemption = Preemption()
    with preemption.noted():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            preemption.leave()


def test_what_another_rank_was_told_counts_as_sigterm():
    with pytest.raises(Preempted) as stopped:
        Preemption().leave()
    assert stopped.value.code == 143


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        preemption = Preemption()
        with preemption.noted():
            os.kill(os.getpid(), signal.SIGUSR1)
        assert preemption.received is None
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_another_thread_leaves_signals_alone():
    found = []

    def note():
        with Preemption().noted():
            found.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=note)
    thread.start()
    thread.join()
    assert found == [before]


def test_a_loader_s_process_outlives_the_first_signal():
    script = (
        "import os, signal, time\n"
        "from lexigraft.training.preemption import Preemption\n"
        "with Preemption().noted():\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(60)\n"
        "        os._exit(0)\n"
        "    os.set_blocking(0, True)\n"
        "    input()\n"
        "    os.kill(child, signal.SIGTERM)\n"
        "    time.sleep(0.5)\n"
        "    assert os.waitpid(child, os.WNOHANG) == (0, 0)\n"
        "    os.kill(child, signal.SIGTERM)\n"
        "    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.communicate("\n")
    assert process.returncode == 0


def test_a_preempted_job_is_requeued(slurm, monkeypatch):
    calls = slurm()
    said = []
    for name, value in JOB.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID", raising=False)
    with pytest.raises(Preempted):
        Preemption(requeue=True, say=said.append).leave()
    assert calls() == ["show job --oneliner 17", "requeue 17"]
    assert said == ["SLURM's job 17 was requeued and will go on from the last checkpoint"]
    with pytest.raises(Preempted):
        Preemption(requeue=True, say=said.append).leave(first_rank=False)
    with pytest.raises(Preempted):
        Preemption(say=said.append).leave()
    assert len(calls()) == 2


def test_a_task_of_an_array_is_requeued_alone(slurm):
    calls = slurm()
    requeue(JOB | {"SLURM_ARRAY_JOB_ID": "9", "SLURM_ARRAY_TASK_ID": "3"})
    assert calls()[-1] == "requeue 9_3"


def test_a_cancelled_job_stays_cancelled(slurm):
    calls = slurm(state="CANCELLED")
    assert requeue(JOB) == "SLURM's job 17 is being cancelled and was not requeued"
    assert len(calls()) == 1


def test_a_requeue_that_fails_is_told_of(slurm, monkeypatch, tmp_path):
    slurm(said="Job is not requeueable")
    assert requeue(JOB) == "SLURM's job 17 could not be requeued (Job is not requeueable): submit it again"
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert requeue(JOB).startswith("SLURM's job 17 could not be requeued ([Errno 2]")
