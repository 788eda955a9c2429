import pytest

from lexigraft.surgery.folder import new_folder


def test_a_folder_appears_when_it_is_finished(tmp_path):
    output = tmp_path / "deep" / "new"
    with new_folder(output) as folder:
        (folder / "file").write_text("x")
        assert folder.parent == output.parent
        assert not output.exists()
    assert (output / "file").read_text() == "x"
    assert list(output.parent.iterdir()) == [output]


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_an_error_leaves_nothing(tmp_path, error):
    def fail():
        with new_folder(tmp_path / "new") as folder:
            (folder / "half").write_text("x")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "new").mkdir()
    with pytest.raises(ValueError, match="exists already, and nothing is overwritten"), new_folder(tmp_path / "new"):
        pass
    with pytest.raises(ValueError, match="appeared in the meantime"), new_folder(tmp_path / "other"):
        (tmp_path / "other").mkdir()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new", "other"]
