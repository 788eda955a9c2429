import json
import os
import signal
import subprocess
import sys
import time

import pytest

from lexigraft.runs.state import InUse, RunState, claimed, held


def test_a_new_folder_becomes_running_then_finished(tmp_path):
    run = tmp_path / "run"
    assert RunState.read(run) == RunState()
    with claimed(run) as before:
        assert before.name == "new"
        state = RunState.read(run)
        assert (state.name, state.attempts, state.pid) == ("running", 1, os.getpid())
        assert state.started <= time.time()
        assert state.ended is None
    state = RunState.read(run)
    assert (state.name, state.error) == ("finished", None)
    assert state.ended >= state.started
    assert not held(run)


def test_an_error_is_written_down_and_passes_through(tmp_path):
    with pytest.raises(ValueError, match="no such thing"), claimed(tmp_path):
        raise ValueError("no such thing")
    state = RunState.read(tmp_path)
    assert (state.name, state.error) == ("failed", "no such thing")
    assert state.traceback.endswith("ValueError: no such thing\n")
    with claimed(tmp_path) as before:
        assert (before.name, before.attempts) == ("failed", 1)
    assert RunState.read(tmp_path).attempts == 2


def test_ctrl_c_is_an_interruption(tmp_path):
    with pytest.raises(KeyboardInterrupt), claimed(tmp_path):
        raise KeyboardInterrupt
    assert RunState.read(tmp_path).name == "interrupted"


def test_another_ending_that_was_written_meanwhile_stays(tmp_path):
    with claimed(tmp_path):
        RunState("pruned", 1).write(tmp_path)
    assert RunState.read(tmp_path).name == "pruned"


def test_one_process_at_a_time(tmp_path):
    with claimed(tmp_path):
        assert held(tmp_path)
        with pytest.raises(InUse, match=f"another process works on the run {tmp_path}: wait"), claimed(tmp_path):
            raise AssertionError
        assert RunState.read(tmp_path).name == "running"


def test_a_killed_process_leaves_a_crashed_run_that_can_be_claimed(tmp_path):
    hold = (
        "import sys, time; from pathlib import Path; from lexigraft.runs.state import claimed\n"
        "with claimed(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", hold, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    assert RunState.read(tmp_path).name == "running"
    with pytest.raises(InUse), claimed(tmp_path):
        raise AssertionError
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert json.loads((tmp_path / "status.json").read_text())["name"] == "running"
    assert RunState.read(tmp_path).name == "crashed"
    with claimed(tmp_path) as before:
        assert before.name == "crashed"
    assert RunState.read(tmp_path).name == "finished"


@pytest.mark.parametrize("torn", ["", "{", '{"name": "finished", "colour": 1}'])
def test_a_torn_file_is_that_of_a_crashed_run(tmp_path, torn):
    (tmp_path / "status.json").write_text(torn)
    assert RunState.read(tmp_path).name == "crashed"
    with claimed(tmp_path) as before:
        assert before.name == "crashed"
    assert RunState.read(tmp_path).name == "finished"
