import importlib
import json
import logging
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from lexigraft import __version__, cli

# The runs of a multirun in this process, one after the other.
IN_PROCESS = "hydra/launcher=basic"
STUDY = Path(__file__).parents[1] / "experiments/new-vocabulary"
HEAVY = ("torch", "transformers", "pytorch_lightning", "torchmetrics", "datasets", "tokenizers", "numpy")


@pytest.fixture
def lexigraft(capsys, monkeypatch, tmp_path):
    """Run a command line in an empty folder: exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LEXIGRAFT_CONF", "")
    for name in ("HYDRA_FULL_ERROR", "LEXIGRAFT_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)
    # `--info` gives the root logger a handler that writes to this test's stdout.
    monkeypatch.setattr(logging.root, "handlers", list(logging.root.handlers))
    monkeypatch.setattr(logging.root, "level", logging.root.level)

    def run(*words):
        with pytest.raises(SystemExit) as left:
            cli.main(words)
        out, err = capsys.readouterr()
        return left.value.code, out, err

    return run


@pytest.fixture
def command(monkeypatch):
    """Put a function in the place of a command; an exception that it returns is raised as from our own code."""
    source = """
def run(argument):
    outcome = function(argument)
    if isinstance(outcome, BaseException):
        raise outcome
"""

    def replace(name, function):
        module = types.ModuleType(f"lexigraft.commands.{name}")
        module.function = function
        exec(source, module.__dict__)
        monkeypatch.setitem(sys.modules, module.__name__, module)

    return replace


@pytest.fixture
def no_targets(monkeypatch):
    """Leave out the signatures, whose check imports torch."""
    module = importlib.import_module("lexigraft.config.preflight")
    monkeypatch.setattr(module, "target_problems", lambda *_: [])


def imported(*words):
    """Heavy modules that a command line imports, and its exit code."""
    code = (
        "import json, sys\n"
        "from lexigraft.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as left:\n"
        f"    print(json.dumps([left.code, [m for m in {HEAVY!r} if m in sys.modules]]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--help"], 0),
        (["train", "--help"], 0),
        (["train", "model=bigru", "--cfg", "job"], 0),
        (["show", "model=bigru"], 0),
        (["show", "options"], 0),
        (["train", "seeed=1"], 2),
        (["train", "trainer.epochs=abc"], 2),
        (["train", "-m", "seed=0,x"], 2),
        (["transplant"], 2),
        (["predict"], 2),
        (["trian"], 2),
    ],
)
def test_nothing_heavy_is_imported_before_a_line_has_been_checked(words, code):
    assert imported(*words) == [code, []]


def test_planning_a_study_waits_for_nothing_that_only_training_needs():
    code, heavy = imported("study", str(STUDY), "--plan")
    assert code == 0
    assert not {"pytorch_lightning", "torchmetrics", "transformers"} & set(heavy)


@pytest.mark.parametrize("words", [["--help"], ["-h"], []])
def test_help_names_every_command(lexigraft, words):
    code, out, _ = lexigraft(*words)
    assert code == 0
    assert all(f"  {name} " in out for name in cli.COMMANDS)


@pytest.mark.parametrize("words", [["--version"], ["train", "--version"]])
def test_version(lexigraft, words):
    assert lexigraft(*words) == (0, f"lexigraft {__version__}\n", "")


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_of_train_lists_groups_in_order_with_descriptions(lexigraft, flag):
    code, out, _ = lexigraft("train", "seed=1", flag)
    assert code == 0
    assert out.index("\n  data\n") < out.index("\n  model\n") < out.index("\n  model/pooling\n")
    assert "    textcnn         Kim (2014)" in out
    assert "lexigraft train -m seed=0,1,2" in out


def test_help_of_transplant_has_only_its_own_groups(lexigraft):
    _, out, _ = lexigraft("transplant", "--help")
    assert "\n  tokenizer\n" in out
    assert "\n  optimizer\n" not in out


@pytest.mark.parametrize("name", ["evaluate", "predict", "show"])
def test_help_of_the_other_commands(lexigraft, name):
    code, out, _ = lexigraft(name, "--help")
    assert code == 0
    assert f"usage: lexigraft {name}" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["trian"], "error: unknown command 'trian'; did you mean 'train'?\n"),
        (
            ["xyz"],
            "error: unknown command 'xyz'; the commands are train, find-lr, pretrain, transplant, evaluate, predict, ",
        ),
        (["train", "seeed=1"], "error: unknown key 'seeed' in the command line; did you mean 'seed'?\n"),
        (["train", "--cnf"], "error: unknown flag '--cnf'; did you mean '--cfg'?\n"),
        (["evaluate"], "error: the following arguments are required: RUN; see lexigraft evaluate --help\n"),
        (["evaluate", "x", "--file", "f", "--split", "dev"], "error: argument --split: not allowed with argument"),
        (["predict", "x", "--batch-size", "0"], "error: argument --batch-size: '0' should be a whole number"),
        (["-sc", "query=tcsh"], "error: completion takes one of install=, uninstall= and query=, with bash"),
        (["train", "--info", "defaults", "model=x"], "error: unknown option 'model=x'; model has"),
        (
            ["train", "-m", "seed=0,1", "hardware.devices=2", "hydra/launcher=basic"],
            "error: hardware.devices=2 cannot be combined with hydra/launcher=basic",
        ),
    ],
)
def test_a_mistake_is_one_line_on_stderr_and_exit_code_2(lexigraft, words, says):
    code, out, err = lexigraft(*words)
    assert (code, out) == (2, "")
    assert err.startswith(says)
    assert err.count("\n") == 1


def test_several_mistakes_get_a_line_each(lexigraft):
    code, _, err = lexigraft("train", "trainer.epochs=0", "trainer.workers=-1", "+sede=4")
    assert code == 2
    assert [line.split()[0] for line in err.splitlines()] == ["error:"] * 3


def test_cfg_job_prints_the_config_and_holds_it_against_the_schema(lexigraft):
    code, out, _ = lexigraft("train", "model=bigru", "--cfg", "job", "-p", "model.encoder")
    assert code == 0
    assert "cell: gru" in out
    assert lexigraft("train", "--cfg", "job", "trainer.epochs=0")[0] == 2
    assert "train: ???" in lexigraft("train", "--cfg", "job", "data=files")[1]


def test_info_is_hydras(lexigraft):
    code, out, _ = lexigraft("train", "--info", "defaults")
    assert code == 0
    assert "model/textcnn" in out


@pytest.mark.usefixtures("no_targets")
def test_train_gets_the_checked_config_and_leaves_nothing_behind(lexigraft, command, tmp_path):
    seen = []
    command("train", lambda cfg: seen.append((cfg, list(sys.argv), os.environ.get("HYDRA_FULL_ERROR"))))
    argv = list(sys.argv)
    assert lexigraft("train", "seed=3", "model=bigru")[0] == 0
    [(cfg, argv_of_run, full_error)] = seen
    assert (cfg.seed, cfg.model.encoder.cell) == (3, "gru")
    assert "hydra" not in cfg
    # A run sees the process as the user started it.
    assert (argv_of_run, full_error) == (argv, None)
    assert sys.argv == argv
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_targets")
def test_transplant_gets_the_checked_config(lexigraft, command):
    seen = []
    command("transplant", seen.append)
    assert lexigraft("transplant", "output=x", "tokenizer.name=y")[0] == 0
    assert seen[0].output == "x"


@pytest.mark.usefixtures("no_targets")
def test_multirun_flag_anywhere_runs_every_combination(lexigraft, command):
    seen = []
    command("train", lambda cfg: seen.append((cfg.seed, cfg.trainer.epochs)))
    code, _, err = lexigraft("train", "seed=0,1", "-m", "trainer.epochs=2", IN_PROCESS)
    assert code == 0
    assert seen == [(0, 2), (1, 2)]
    assert "run 2: seed=1 trainer.epochs=2\n" in err


@pytest.mark.usefixtures("no_targets")
def test_no_job_of_a_sweep_starts_if_one_is_wrong(lexigraft, command):
    command("train", lambda cfg: pytest.fail("started"))
    assert lexigraft("train", "-m", "trainer.epochs=1,0")[0] == 2


@pytest.mark.usefixtures("no_targets")
def test_a_failed_run_of_a_sweep_is_named_and_the_others_go_on(lexigraft, command):
    seen = []

    command("train", lambda cfg: seen.append(cfg.seed) if cfg.seed else ValueError("seed 0 is unlucky"))
    code, _, err = lexigraft("train", "-m", "seed=0,1", IN_PROCESS)
    assert (code, seen) == (1, [1])
    assert err == ("run 1: seed=0\nrun 1 failed: seed 0 is unlucky\nrun 2: seed=1\nerror: 1 of 2 runs failed: 1\n")


@pytest.mark.usefixtures("no_targets")
def test_each_failed_run_of_a_sweep_gets_one_sentence_without_hydras_wrapping(lexigraft, command, monkeypatch):
    # `InstantiationException` is how Hydra passes on what a `_target_` raised.
    from hydra.utils import instantiate

    missing = {"_target_": "lexigraft.hub.local_path", "path": "/nowhere/vectors.txt"}
    command("train", lambda cfg: instantiate(missing))
    code, _, err = lexigraft("train", "-m", "seed=0,1", IN_PROCESS)
    assert code == 1
    assert "full_key" not in err
    assert "Error executing job" not in err
    assert [line.partition(" does not")[0] for line in err.splitlines()] == [
        "run 1: seed=0",
        "run 1 failed: /nowhere/vectors.txt",
        "run 2: seed=1",
        "run 2 failed: /nowhere/vectors.txt",
        "error: 2 of 2 runs failed: 1, 2",
    ]


@pytest.mark.usefixtures("no_targets")
def test_an_unexpected_error_in_a_sweep_keeps_its_traceback_and_the_others_go_on(lexigraft, command):
    seen = []
    command("train", lambda cfg: seen.append(1 / cfg.seed))
    code, _, err = lexigraft("train", "-m", "seed=0,1", IN_PROCESS)
    assert (code, seen) == (1, [1.0])
    assert "ZeroDivisionError" in err


@pytest.mark.usefixtures("no_targets")
def test_values_with_spaces_and_chinese_need_no_second_quotes(lexigraft, command):
    seen = []
    command("train", seen.append)
    assert lexigraft("train", "output_root=~/我的 输出", "experiment=实验")[0] == 0
    assert (seen[0].output_root, seen[0].experiment) == ("~/我的 输出", "实验")


@pytest.mark.usefixtures("no_targets")
def test_what_the_operating_system_says_of_a_file_is_one_line(lexigraft, command, tmp_path):
    command("train", lambda cfg: tmp_path.read_bytes())
    code, _, err = lexigraft("train")
    assert (code, err) == (1, f"error: [Errno 21] Is a directory: '{tmp_path}'\n")


@pytest.mark.usefixtures("no_targets")
def test_another_primary_config_of_a_user_folder(lexigraft, command, tmp_path):
    seen = []
    command("train", seen.append)
    (tmp_path / "study.yaml").write_text("defaults: [train, _self_]\nseed: 7\n")
    assert lexigraft("train", "-cn", "study", "-cd", str(tmp_path))[0] == 0
    assert seen[0].seed == 7


def test_the_signatures_are_asked_before_anything_starts(lexigraft, command):
    command("train", lambda cfg: pytest.fail("started"))
    code, _, err = lexigraft("train", "+optimizer.wieght_decay=1", "optimizer.lr=big")
    assert code == 2
    assert err == (
        "error: unknown key 'optimizer.wieght_decay' in the command line: AdamW does not take it; "
        "did you mean 'weight_decay'?\n"
        "error: optimizer.lr=big in the command line should be a valid number\n"
    )


def test_evaluate_and_predict_get_their_arguments(lexigraft, command):
    seen = []
    command("evaluate", seen.append)
    command("predict", seen.append)
    assert lexigraft("evaluate", "run", "--split", "dev")[0] == 0
    assert lexigraft("predict", "run", "one text", "another", "--batch-size", "8")[0] == 0
    evaluate, predict = seen
    assert (evaluate.run, evaluate.split, evaluate.file) == ("run", "dev", None)
    assert (predict.run, predict.text, predict.file, predict.batch_size) == ("run", ["one text", "another"], None, 8)


@pytest.mark.parametrize("error", [ValueError("no such split"), FileNotFoundError("no such run")])
def test_our_own_errors_while_running_are_sentences(lexigraft, command, error):
    command("predict", lambda args: error)
    assert lexigraft("predict", "run") == (1, "", f"error: {error}\n")


@pytest.mark.parametrize("variable", ["LEXIGRAFT_TRACEBACK", "HYDRA_FULL_ERROR"])
def test_a_traceback_can_be_asked_for(lexigraft, command, monkeypatch, variable):
    command("predict", lambda args: ValueError("no such split"))
    monkeypatch.setenv(variable, "1")
    code, _, err = lexigraft("predict", "run")
    assert code == 1
    assert "Traceback" in err
    code, _, err = lexigraft("trian")
    assert code == 2
    assert "Traceback" in err


def test_unexpected_errors_keep_their_traceback(lexigraft, command):
    command("predict", lambda args: ZeroDivisionError("surprise"))
    code, _, err = lexigraft("predict", "run")
    assert code == 1
    assert "Traceback" in err


def test_a_value_error_of_somebody_elses_code_keeps_its_traceback(lexigraft, command):
    command("predict", lambda args: json.loads("{"))
    assert "Traceback" in lexigraft("predict", "run")[2]


def test_an_error_while_hydra_builds_an_object_is_unwrapped(lexigraft, command):
    from hydra.errors import InstantiationException

    command("predict", lambda args: ValueError("lr is negative"))
    with pytest.raises(ValueError, match="negative") as cause:
        importlib.import_module("lexigraft.commands.predict").run(None)

    def run(args):
        raise InstantiationException("Error in call to target") from cause.value

    command("predict", run)
    assert lexigraft("predict", "run") == (1, "", "error: lr is negative\n")


def test_interrupting_is_one_line(lexigraft, command):
    command("predict", lambda args: KeyboardInterrupt())
    assert lexigraft("predict", "run") == (130, "", "interrupted\n")


@pytest.mark.parametrize(("shell", "word"), [("bash", "complete "), ("zsh", "complete "), ("fish", "complete -c")])
def test_the_completion_script_is_printed(lexigraft, shell, word):
    code, out, _ = lexigraft("-sc", f"install={shell}")
    assert code == 0
    assert word in out


def test_a_completion_query_from_end_to_end():
    environment = {**os.environ, "COMP_LINE": "lexigraft train data=th", "COMP_POINT": "23"}
    done = subprocess.run(
        [sys.executable, "-m", "lexigraft", "-sc", "query=bash"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "data=thucnews\n"


def test_a_reader_that_leaves_early_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "lexigraft", "train", "--help"], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.usefixtures("no_targets")
def test_a_users_mistake_in_a_run_is_one_line(lexigraft, command):
    command("train", lambda cfg: ValueError("there are no texts"))
    assert lexigraft("train") == (1, "", "error: there are no texts\n")


@pytest.mark.usefixtures("no_targets")
def test_an_unexpected_error_in_a_run_keeps_its_traceback(lexigraft, command):
    command("train", lambda cfg: 1 / 0)
    code, _, err = lexigraft("train")
    assert code == 1
    assert "ZeroDivisionError" in err
