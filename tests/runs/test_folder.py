import json

import pytest

from lexigraft.runs.folder import RunFolder, read_json, require_writable, write_json, write_text


def test_two_runs_of_one_config_get_two_folders(tmp_path):
    first = RunFolder.create(tmp_path, "exp", "seed: 0\n")
    second = RunFolder.create(tmp_path, "exp", "seed: 0\n")
    assert first.path != second.path
    assert first.path.parent == tmp_path / "exp"
    assert first.config.read_text() == "seed: 0\n"


def test_other_configs_have_other_hashes(tmp_path):
    names = {RunFolder.create(tmp_path, "exp", f"seed: {i}\n").path.name.split("-")[2] for i in range(3)}
    assert len(names) == 3


def test_opening_a_folder_that_is_no_run_says_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"is not a finished run: it has no config.yaml"):
        RunFolder.open(tmp_path)


def test_a_root_that_cannot_be_written_is_a_sentence_and_nothing_is_made(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("x")
    require_writable(tmp_path / "new" / "folder", "output_root")
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(ValueError, match=f"nothing can be written to output_root=.*: {file} is a file"):
        require_writable(file / "below", "output_root")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(ValueError, match=f"{tmp_path} is read-only for this user; give another folder"):
        require_writable(tmp_path, "output_root")
    with pytest.raises(ValueError, match="no run folder can be made in output_root="):
        RunFolder.create(file, "exp", "seed: 0\n")


@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_a_damaged_record_is_named(tmp_path, content):
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(ValueError, match=r"result.json .* copy the folder again"):
        read_json(tmp_path / "result.json")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", {"好": 1})
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"好": 1}


def test_no_temporary_file_stays(tmp_path):
    write_text(tmp_path / "a", "x")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
