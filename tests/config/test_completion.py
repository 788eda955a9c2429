import pytest

from lexigraft.cli import COMMANDS
from lexigraft.config import completion


@pytest.fixture
def query(capsys, monkeypatch):
    monkeypatch.setenv("LEXIGRAFT_CONF", "")
    monkeypatch.setenv("COMP_LINE", "")  # the query rewrites it; this puts it back

    def words(line, shell="bash"):
        completion.query(shell, line, list(COMMANDS))
        return capsys.readouterr().out.split()

    return words


def test_the_command_word_is_completed(query):
    assert query("lexigraft ") == list(COMMANDS)
    assert query("lexigraft tr") == ["train", "transplant"]


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_overrides_are_completed_by_hydra(query, shell):
    assert query("lexigraft train data=th", shell) == ["data=thucnews"]
    assert query("lexigraft train trainer.ep", shell) == ["trainer.epochs="]


def test_a_flag_before_the_cursor_does_not_disturb(query):
    assert query("lexigraft train seed=1 -m model=big") == ["model=bigru"]


def test_an_executable_anywhere(query):
    assert query("/opt/python3.11/bin/lexigraft show scheduler=l") == ["scheduler=linear"]


def test_transplant_has_its_own_keys(query):
    assert query("lexigraft transplant outp") == ["output="]
    assert query("lexigraft train outp") == ["output_root="]


def test_flags_are_completed(query):
    assert query("lexigraft train --mu") == ["--multirun"]


def test_options_of_user_folders_are_completed(query, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thoughts.yaml").write_text("# Mine.\na: 1\n")
    assert query(f"lexigraft train -cd {tmp_path} data=th") == ["data=thoughts", "data=thucnews"]


def test_files_are_left_to_the_shell(query):
    assert query("lexigraft evaluate outp") == []


def test_a_line_that_is_wrong_before_the_cursor_completes_to_nothing(query):
    assert query("lexigraft train --nope data=th") == []
