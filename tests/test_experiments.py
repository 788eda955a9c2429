"""Every study of experiments/ is one that `lexigraft study` would run."""

from pathlib import Path

import pytest

from lexigraft.studies.plan import plan
from lexigraft.studies.reading import read_study

ROOT = Path(__file__).parents[1]
STUDIES = sorted(path.parent.name for path in (ROOT / "experiments").glob("*/study.yaml"))


def test_there_are_studies():
    assert len(STUDIES) > 5


@pytest.mark.parametrize("name", STUDIES)
def test_all_cells_are_composed_and_checked(name, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("LEXIGRAFT_CONF", "")
    monkeypatch.setenv("LEXIGRAFT_DATA", str(tmp_path))
    assert plan(read_study(Path("experiments") / name), [])
