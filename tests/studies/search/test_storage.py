import subprocess
import sys
from pathlib import Path

import pytest

from lexigraft.config.errors import ConfigError
from lexigraft.studies.search.storage import absolute, file_of, open_storage, open_study, searched_alone

optuna = pytest.importorskip("optuna")

OVER = {"space": {"lr": "0.1 to 1.0", "model": "a, b"}, "objectives": ["monitor"], "base": {"trainer": {"epochs": 3}}}


@pytest.fixture(params=["search.journal", "sqlite"])
def spec(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/x.db" if request.param == "sqlite" else str(tmp_path / "new" / request.param)


def test_a_study_is_found_again(spec: str) -> None:
    first = open_study(spec, "s", ["maximize"], OVER)
    first.ask({"lr": optuna.distributions.FloatDistribution(0.1, 1)})
    again = open_study(spec, "s", ["maximize"], OVER)
    assert [trial.params.keys() for trial in again.trials] == [{"lr"}]
    assert open_study(spec, "other", ["minimize"], OVER).trials == []


def test_a_changed_search_is_refused(spec: str) -> None:
    open_study(spec, "s", ["maximize"], OVER)
    cases = [
        ({"space": {**OVER["space"], "lr": "0.1 to 2.0"}}, "the range of lr was 0.1 to 1.0 and is now 0.1 to 2.0"),
        ({"space": {"lr": "0.1 to 1.0"}}, "the range of model was a, b and is now not there"),
        ({"base": {"trainer": {"epochs": 5}}}, "trainer.epochs was 3 and is now 5"),
        ({"objectives": ["dev/f1"]}, 'what is optimised was ["monitor"] and is now ["dev/f1"]'),
    ]
    for change, sentence in cases:
        with pytest.raises(ConfigError) as error:
            open_study(spec, "s", ["maximize"], {**OVER, **change})
        assert str(error.value) == (
            f"storage={spec} holds the search 's' with other trials than these: {sentence}; give another storage=, or "
            "set it back"
        )


def test_another_direction_is_refused(spec: str) -> None:
    open_study(spec, "s", ["maximize"], OVER)
    with pytest.raises(ConfigError, match="holds the search 's' with other objectives; give another storage=$"):
        open_study(spec, "s", ["minimize"], OVER)


@pytest.mark.parametrize("spec", ["x.db", "mysql://host/x.journal", "sqlite:///"])
def test_a_storage_of_another_kind_is_refused(spec: str) -> None:
    with pytest.raises(ConfigError, match=f"^storage={spec} should be a file whose name ends with .journal, or sqlite"):
        file_of(spec)


def test_a_storage_is_named_by_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("a/b.journal") == str(tmp_path / "a/b.journal")
    assert absolute("sqlite:///x.db") == f"sqlite:///{tmp_path}/x.db"


def test_a_file_that_is_no_storage_is_told_of(tmp_path: Path) -> None:
    for spec, file in ((str(tmp_path / "x.journal"), "x.journal"), (f"sqlite:///{tmp_path}/x.db", "x.db")):
        (tmp_path / file).write_text("what is this?\nnot a storage\n")
        with pytest.raises(ConfigError, match=r"^storage=.* cannot be opened: "):
            open_study(spec, "s", ["maximize"], OVER)


def test_a_line_cut_short_by_a_kill_is_dropped(tmp_path: Path) -> None:
    spec = str(tmp_path / "x.journal")
    study = open_study(spec, "s", ["maximize"], OVER)
    study.ask()
    with open(spec, "a") as journal:
        journal.write('{"op_code": 4, "worker')
    again = open_study(spec, "s", ["maximize"], OVER)
    again.ask()
    study.ask()
    assert len(study.get_trials()) == len(open_study(spec, "s", ["maximize"], OVER).trials) == 3


def test_the_lock_of_a_killed_writer_is_free_at_once(tmp_path: Path) -> None:
    spec = str(tmp_path / "x.journal")
    open_storage(spec)
    code = (
        "import os, signal; from lexigraft.studies.search.storage import _JournalLock; from pathlib import Path\n"
        f"_JournalLock(Path({spec!r})).acquire(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    open_study(spec, "s", ["maximize"], OVER)  # would wait for ever


def test_two_searches_in_one_study_are_refused(spec: str) -> None:
    with searched_alone(spec, "s"):
        with searched_alone(spec, "another"):
            pass
        with pytest.raises(ConfigError, match=r"^another process is searching in storage=.* at this moment: wait"):
            searched_alone(spec, "s").__enter__()
    with searched_alone(spec, "s"):
        pass


def test_a_folder_that_cannot_be_made_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for opened in (open_storage, lambda spec: searched_alone(spec, "s").__enter__()):
        with pytest.raises(ConfigError, match="cannot be opened: "):
            opened(str(tmp_path / "file" / "x.journal"))
