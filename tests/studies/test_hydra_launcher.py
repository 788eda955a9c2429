import json
import os
import sys
import types

import pytest
from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus
from hydra.plugins.sweeper import Sweeper

from lexigraft.config.errors import ConfigError
from lexigraft.runs.state import RunState, claimed
from tests.fixtures.task import call
from tests.studies.line_work import WORK

POOL = f"+hydra.launcher.work={WORK}"


@pytest.fixture
def line(tmp_path, monkeypatch, capsys):
    """Run `lexigraft train -m` with further words in a folder of its own: exit code, and what it says on stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LEXIGRAFT_CONF", "")
    for name in ("HYDRA_FULL_ERROR", "LEXIGRAFT_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)

    def run(*words, pool=(POOL,)):
        code = call("train", "-m", *pool, *words)
        return code, capsys.readouterr().err

    return run


def runs(folder):
    """Result and state of each run, by its value."""
    found = [
        (json.loads((run / "result.json").read_text()), RunState.read(run)) for run in folder.glob("outputs/runs/*")
    ]
    return {result["best"]["value"]: (result["about"], state) for result, state in found}


def test_each_run_of_a_line_is_a_process_of_its_own_and_equal_ones_are_one(line, tmp_path):
    argv, full_error = list(sys.argv), os.environ.get("HYDRA_FULL_ERROR")
    code, err = line("seed=0,1", "experiment=a,b", "trainer.epochs=3", "hydra.launcher.jobs=2")
    assert code == 0
    found = runs(tmp_path)
    assert found.keys() == {0.0, 1.0}
    about, state = found[0.0]
    assert state.name == "finished"
    assert state.pid not in (os.getpid(), found[1.0][1].pid)
    # A run sees the process as the user started it.
    assert about == {"argv": argv, "full_error": full_error, "folder": str(tmp_path)}
    assert "same      run 2: seed=0 experiment=b, as run 1\n" in err
    assert "started   run 3: seed=1 experiment=a\n" in err
    assert "finished  run 1: seed=0 experiment=a  0.0000" in err
    assert "2 of 2 runs have a result" in err


def test_a_finished_run_is_not_begun_again_unless_asked_for(line, tmp_path):
    assert line("seed=0")[0] == 0
    [run] = tmp_path.glob("outputs/runs/*")
    before = RunState.read(run)
    code, err = line("seed=0,1", "trainer.progress=false")
    assert code == 0
    assert f"finished  run 1: seed=0 already (outputs/runs/{run.name})\n" in err
    assert "started   run 2: seed=1\n" in err
    assert RunState.read(run) == before
    (run / "provenance.json").write_text(json.dumps({"code": {"package_sha256": "0" * 64}}))
    assert ", by other code: package 000000000000, and not " in line("seed=0,1")[1]
    assert line("seed=0", "rerun=true")[0] == 0
    assert RunState.read(run).attempts == 2


def test_what_fails_is_told_and_the_others_go_on(line, tmp_path):
    code, err = line("seed=7,9,8,0", "hydra.sweeper.max_batch_size=1", "hydra.launcher.retries=0")
    assert code == 1
    assert "failed    run 1: seed=7: seed 7 is unlucky (outputs/runs/" in err
    assert "killed    run 2: seed=9: its process was killed by SIGKILL" in err
    assert err.endswith("error: 2 of 4 runs failed: 1, 2\n")
    assert "Traceback" not in err
    assert "Error executing job" not in err
    assert len(list(tmp_path.glob("outputs/runs/*/result.json"))) == 2


def test_a_traceback_can_be_asked_for(line, monkeypatch):
    monkeypatch.setenv("LEXIGRAFT_TRACEBACK", "1")
    assert 'raise ConfigError("seed 7 is unlucky")' in line("seed=7")[1]


def test_a_run_that_another_process_works_on_is_left_alone(line, tmp_path):
    assert line("seed=7")[0] == 1
    [run] = tmp_path.glob("outputs/runs/*")
    with claimed(run):
        code, err = line("seed=7,0")
    assert code == 1
    assert "in_use    run 1: seed=7: another process works on the run" in err
    assert "finished  run 2: seed=0" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["hydra.launcher.jobs=many"], "hydra.launcher.jobs=many in the command line should be a valid integer"),
        (["hydra.launcher.jobs=0"], "hydra/launcher=processes: jobs=0 with slots=None: at least one job has to run"),
        (["hydra.launcher.job=2"], "unknown key 'hydra.launcher.job' in the command line"),
        (["+hydra.launcher.jbos=2"], "unknown key 'hydra.launcher.jbos' in the command line: Pool does not take it"),
        (["hydra/launcher=submitit_local", "hydra.launcher.setup=3"], "hydra.launcher.setup=3 in the command line"),
        (["hydra/launcher=process"], "unknown option 'hydra/launcher=process'; did you mean 'processes'?"),
        (["trainer.epochs=1,0"], "trainer.epochs=0 in the command line"),
    ],
)
def test_a_mistake_is_found_before_anything_starts(line, tmp_path, words, says):
    code, err = line("seed=0,1", *words, pool=())
    assert code == 2
    assert err.startswith(f"error: {says}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["find-lr", "transplant"])
def test_other_commands_stay_in_their_process(command, tmp_path, monkeypatch, capsys):
    seen = []
    module = types.ModuleType("lexigraft.commands.replaced")
    module.run = lambda cfg: seen.append((os.getpid(), cfg.seed))
    monkeypatch.setitem(sys.modules, f"lexigraft.commands.{command.replace('-', '_')}", module)
    words = ["output=x", "tokenizer.name=y"] if command == "transplant" else []
    assert call(command, "-m", "seed=0,1", *words) == 0
    assert seen == [(os.getpid(), 0), (os.getpid(), 1)]
    capsys.readouterr()
    assert call(command, "-m", "seed=0,1", *words, "hydra/launcher=processes") == 2
    assert f"leave it out for lexigraft {command}, whose runs share one process" in capsys.readouterr().err


def test_the_jobs_of_another_sweeper_are_checked_and_it_gets_values_and_errors(line, tmp_path, monkeypatch):
    answers = []

    class Asking(Sweeper):
        """Asks for its jobs in two batches."""

        __module__, __qualname__ = "hydra_plugins.asking", "Asking"

        def __init__(self, **settings):
            pass

        def setup(self, *, hydra_context, task_function, config):
            self.launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

        def sweep(self, arguments):
            answers.extend(self.launcher.launch([["seed=3"], ["seed=7"], ["trainer.epochs=0"]], 0))
            answers.extend(self.launcher.launch([["seed=${hydra:job.num}"]], 3))

    module = types.ModuleType("hydra_plugins.asking")
    module.Asking = Asking
    monkeypatch.setitem(sys.modules, module.__name__, module)
    Plugins.instance().register(Asking)
    (tmp_path / "conf").mkdir()
    sweeper = "{_target_: hydra_plugins.asking.Asking}"
    (tmp_path / "conf" / "study.yaml").write_text(f"defaults: [train, _self_]\nhydra: {{sweeper: {sweeper}}}\n")
    code, err = line("-cn", "study", "-cd", str(tmp_path / "conf"))
    three, seven, wrong, fourth = answers
    assert [job.status for job in answers] == [
        JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.FAILED, JobStatus.COMPLETED,
    ]  # fmt: skip
    assert (three.return_value, fourth.return_value) == (3.0, 3.0)
    assert "finished  run 4: seed=${hydra:job.num} already" in err
    assert three.cfg.seed == fourth.cfg.seed == 3
    with pytest.raises(RuntimeError, match="failed: seed 7 is unlucky"):
        _ = seven.return_value
    with pytest.raises(ConfigError, match="trainer.epochs=0 in the command line"):
        _ = wrong.return_value
    assert code == 1
    assert err.endswith("error: 2 of 4 runs failed: 2, 3\n")


def test_a_line_of_submitits_jobs(line, tmp_path, monkeypatch):
    root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))
    code, err = line("hydra/launcher=submitit_local", "seed=2,7", "hydra.launcher.jobs=2")
    assert code == 1
    assert "failed    run 2: seed=7: seed 7 is unlucky" in err
    assert "finished  run 1: seed=2  2.0000" in err
    assert len(list(tmp_path.glob("outputs/submitit/*/*_result.pkl"))) == 2
