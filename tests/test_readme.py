"""README.md and README.zh.md: their commands are understood, the cheap ones run, their links and folders exist."""

import io
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from lexigraft.cli import COMMANDS, PRIMARY
from lexigraft.config.compose import jobs, loader
from lexigraft.config.flags import split
from lexigraft.config.preflight import SCHEMAS, check_schema, preflight, without_hydra
from tests.fixtures.task import call

ROOT = Path(__file__).parents[1]
READMES = [path for path in (ROOT / "README.md", ROOT / "README.zh.md") if path.is_file()]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
ABOUT = {"--help", "--cfg"}  # a line with these starts nothing


def commands(readme):
    """The words of each command line in the ```bash blocks, comments left out."""
    text = "".join(re.findall(r"^```bash\n(.*?)^```", readme.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))
    lines = [shlex.split(line, comments=True) for line in text.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and line[0] in ("lexigraft", "make")]


def errors_shown(readme):
    """(words, the lines `error: ...` below them) of each `$ lexigraft ...` that fails in a ```console block."""
    text = readme.read_text(encoding="utf-8")
    shown = re.findall(r"^\$ lexigraft (.*)\n((?:error: .*\n)+)", text, re.MULTILINE)
    return [(shlex.split(line), said) for line, said in shown]


LINES = list(dict.fromkeys(shlex.join(words) for readme in READMES for words in commands(readme)))
DOCS = [shlex.join(words) for path in sorted((ROOT / "docs").glob("*.md")) for words in commands(path)]


def lines_of(*names):
    return [line for line in LINES if line.split()[1] in names]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Nothing is written into the repository, and the user's own options stay out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LEXIGRAFT_CONF", "")


def test_the_commands_are_found():
    assert {line.split()[1] for line in LINES if line.startswith("lexigraft ")} == set(COMMANDS)


@pytest.mark.skipif(len(READMES) < 2, reason="there is no README.zh.md")
def test_both_languages_show_the_same_commands():
    english, chinese = READMES
    assert commands(chinese) == commands(english)
    assert errors_shown(chinese) == errors_shown(english)


@pytest.mark.parametrize(
    "line",
    lines_of("train", "pretrain", "transplant", "find-lr")
    + [line for line in DOCS if line.split()[1] in ("train", "pretrain", "transplant", "find-lr")],
)
def test_training_and_transplanting_lines_pass_the_preflight(line, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)  # some lines are for a machine with GPUs
    _, command, *words = shlex.split(line)
    command = PRIMARY.get(command, command)
    parsed = split(words)
    check = check_schema if ABOUT & parsed.flags.keys() else preflight
    with loader():
        found = list(jobs(command, parsed.overrides, "--multirun" in parsed.flags))
        assert found
        for cfg, origin in found:
            check(without_hydra(cfg), SCHEMAS[command], origin)


@pytest.mark.parametrize("line", [line for line in lines_of("train", "transplant") if ABOUT & set(line.split())])
def test_lines_that_start_nothing_run(line, capsys):
    assert call(*shlex.split(line)[1:]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 20


@pytest.mark.parametrize("line", lines_of("evaluate", "predict", "show"))
def test_lines_about_a_run_or_the_options_run(line, trained, task, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    (tmp_path / "texts.txt").write_text("我们喜欢\n", encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO("我们喜欢\n"))
    _, command, *words = shlex.split(line)
    if "--file" in words:
        words[words.index("--file") + 1] = str(task / "test.tsv" if command == "evaluate" else "texts.txt")
    assert call(command, *(str(run) if word.startswith("outputs/") else word for word in words)) == 0
    out = capsys.readouterr().out
    if command == "predict":
        assert all(json.loads(answer)["label"] in ("好评", "差评") for answer in out.splitlines())
    assert out


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.name)
def test_completion_as_shown(readme, capsys):
    shells = re.findall(r"lexigraft -sc install=(\w+)", readme.read_text(encoding="utf-8"))
    assert shells
    for shell in shells:
        assert call("-sc", f"install={shell}") == 0
        assert "complete " in capsys.readouterr().out


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.name)
def test_errors_are_those_shown(readme, capsys):
    assert errors_shown(readme)
    for words, said in errors_shown(readme):
        assert call(*words) == 2
        assert capsys.readouterr().err == said


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.name)
def test_make_targets_exist(readme):
    named = re.findall(r"(?:^|`)make ([a-z-]+)", readme.read_text(encoding="utf-8"), re.MULTILINE)
    assert {"setup", "demo", "test"} <= set(named) <= TARGETS


def test_make_help_names_every_target():
    done = subprocess.run(["make", "-C", ROOT, "help"], capture_output=True, text=True, check=True)
    named = re.findall(r"^  make ([a-z-]+) +\S", done.stdout, re.MULTILINE)
    assert set(named) == TARGETS


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.name)
def test_the_folders_of_the_table_exist_and_no_room_is_left_out(readme):
    named = set()
    for cell in re.findall(r"^\| (`[^|]*/[^|]*`) \|", readme.read_text(encoding="utf-8"), re.MULTILINE):
        parent = ROOT
        for name in re.findall(r"`([^`]+)`", cell):  # the second name of a cell stands beside the first
            path = parent / name
            assert path.exists(), f"{readme.name} names {name}"
            named.add(path)
            parent = path.parent
    rooms = [path.parent for path in ROOT.glob("src/lexigraft/*/__init__.py")]
    assert len(rooms) > 5
    assert set(rooms) <= named


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.name)
def test_links_lead_somewhere(readme):
    text = readme.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#\s]+)", text) + re.findall(r'(?:src|srcset|href)="([^"#]+)"', text)
    relative = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert relative
    assert not [link for link in relative if not (ROOT / link).exists()]
