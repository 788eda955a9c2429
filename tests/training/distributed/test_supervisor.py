import multiprocessing
import os
import signal
import socket
import threading
import time

import pytest

from lexigraft.training.distributed import supervisor
from lexigraft.training.distributed.supervisor import supervise
from lexigraft.training.distributed.verdict import RankFailed

WORKS = "tests.training.distributed.works"


def values(folder, threads=3, nodes=1, **others):
    return {"folder": str(folder), "hardware": {"threads": threads, "nodes": nodes}, **others}


def test_each_rank_has_its_place_and_the_config_and_the_first_one_prints(tmp_path, capfd):
    env = {**os.environ, "PL_GLOBAL_SEED": "5", "RANK": "9"}
    assert supervise(values(tmp_path, text="中文"), 2, env, work=f"{WORKS}:tell") == 10
    for rank in (0, 1):
        told, text = (tmp_path / f"rank{rank}").read_text().splitlines()
        place = f"RANK={rank} WORLD_SIZE=2 LOCAL_RANK={rank} LOCAL_WORLD_SIZE=2 NODE_RANK=0"
        assert told == f"{place} OMP_NUM_THREADS=3 PL_GLOBAL_SEED=None"
        assert text == "中文"
    assert capfd.readouterr().out == "output of rank 0\n"


@pytest.mark.parametrize(
    ("how", "kind", "message", "cause"),
    [
        ("sentence", ValueError, "^trainer.batch_size is 0; 1 or more is expected$", "_at_least_one"),
        ("exception", RankFailed, "^rank 1 of 2 failed: KeyError: 'a key'$", '{}\\["a key"\\]'),
        ("exit", RankFailed, "^rank 1 of 2 ended with exit code 7 before its work was done$", "the last words"),
        ("leave", RankFailed, "^rank 1 of 2 left with exit code 5$", "the last words"),
        ("kill", RankFailed, "^rank 1 of 2 was killed by SIGKILL; the system does so when memory", "the last words"),
    ],
)
def test_a_rank_that_dies_ends_the_others_and_is_told(tmp_path, how, kind, message, cause):
    began = time.monotonic()
    with pytest.raises(kind, match=message) as failed:
        supervise(values(tmp_path, how=how), 2, work=f"{WORKS}:die")
    assert time.monotonic() - began < 30  # the other rank would wait for 60 seconds
    with pytest.raises(Exception, match=cause):
        raise failed.value.__cause__


def test_of_two_the_one_that_died_first_is_told_and_not_the_one_that_noticed(tmp_path):
    with pytest.raises(RankFailed, match="rank 1 of 2 was killed by SIGKILL"):
        supervise(values(tmp_path, how="kill"), 2, work=f"{WORKS}:both_fail")


def signals_when_begun(folder, *numbers):
    """Send this process signals, the first as soon as both ranks have begun, the next when rank 0 has stopped."""

    def send():
        for number, names in zip(numbers, [("began0", "began1"), ("stopped0",)]):
            while not all((folder / name).exists() for name in names):
                time.sleep(0.02)
            os.kill(os.getpid(), number)

    threading.Thread(target=send, daemon=True).start()


@pytest.mark.parametrize(
    ("number", "code", "raised"),
    [
        (signal.SIGINT, None, KeyboardInterrupt),
        (signal.SIGTERM, None, KeyboardInterrupt),
        (signal.SIGUSR1, 75, SystemExit),
    ],
)
def test_a_signal_reaches_every_rank_and_then_ends_this_process_as_they_ask(tmp_path, number, code, raised):
    before = [signal.getsignal(each) for each in supervisor.PASSED_ON]
    signals_when_begun(tmp_path, number)
    with pytest.raises(raised) as stopped:
        supervise(values(tmp_path, code=code), 2, work=f"{WORKS}:stop")
    assert (tmp_path / "stopped0").exists()
    assert (tmp_path / "stopped1").exists()
    assert getattr(stopped.value, "code", None) == code
    assert [signal.getsignal(each) for each in supervisor.PASSED_ON] == before


def test_a_rank_that_hears_nothing_is_killed_by_the_second_ctrl_c(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "GRACE", 60.0)
    monkeypatch.setattr(supervisor, "GRACE_OF_STOP", 60.0)
    signals_when_begun(tmp_path, signal.SIGINT, signal.SIGINT)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        supervise(values(tmp_path, code=None), 2, work=f"{WORKS}:deaf")
    assert time.monotonic() - began < 50


def test_ranks_die_with_a_supervisor_that_is_killed(tmp_path):
    psutil = pytest.importorskip("psutil")
    process = multiprocessing.get_context("fork").Process(
        target=supervise, args=(values(tmp_path, code=None), 2), kwargs={"work": f"{WORKS}:stop"}
    )
    process.start()
    while not all((tmp_path / f"began{rank}").exists() for rank in (0, 1)):
        time.sleep(0.02)
        assert process.is_alive()
    ranks = psutil.Process(process.pid).children()
    assert len(ranks) == 2
    process.kill()
    _, alive = psutil.wait_procs(ranks, timeout=20)
    assert not alive


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_a_node_has_the_ranks_after_those_of_the_nodes_before_it(tmp_path):
    env = {**os.environ, "NODE_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    assert supervise(values(tmp_path, nodes=2, text=""), 2, env, work=f"{WORKS}:tell") == 12
    for rank in (2, 3):
        told = (tmp_path / f"rank{rank}").read_text()
        assert told.startswith(f"RANK={rank} WORLD_SIZE=4 LOCAL_RANK={rank - 2} LOCAL_WORLD_SIZE=2 NODE_RANK=1 ")


def test_nodes_train_together_and_end_together(tmp_path):
    env = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "GLOO_SOCKET_IFNAME": "lo"}
    failed = {}

    def node(number):
        try:
            supervise(values(tmp_path, nodes=2), 1, {**env, "NODE_RANK": str(number)}, work=f"{WORKS}:add_up")
        except RankFailed as error:
            failed[number] = str(error)

    nodes = [threading.Thread(target=node, args=(number,)) for number in (1, 0)]  # whichever comes first, they meet
    for each in nodes:
        each.start()
    for each in nodes:
        each.join()
    assert [(tmp_path / f"sum{rank}").read_text() for rank in (0, 1)] == ["3.0", "3.0"]
    assert failed[1] == "rank 1 of 2 failed: KeyError: 'a key'"
    assert "rank 0 of 2 failed: RuntimeError: " in failed[0]


def test_nodes_are_told_by_variables(tmp_path):
    with pytest.raises(ValueError, match=r"hardware.nodes=2 with NODE_RANK=unset, MASTER_ADDR=unset.*torchrun"):
        supervise(values(tmp_path, nodes=2), 1, {}, work=f"{WORKS}:tell")
    env = {"NODE_RANK": "2", "MASTER_ADDR": "here", "MASTER_PORT": "1"}
    with pytest.raises(ValueError, match="NODE_RANK=2, .*: set NODE_RANK to 0 up to 1"):
        supervise(values(tmp_path, nodes=2), 1, env, work=f"{WORKS}:tell")


def test_a_port_that_is_taken_is_told(tmp_path):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        env = {"NODE_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        with pytest.raises(ValueError, match=f"cannot meet at 127.0.0.1:{port} .*a port that is free"):
            supervise(values(tmp_path, nodes=2), 1, env, work=f"{WORKS}:tell")
