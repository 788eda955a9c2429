import gzip

import pytest

from lexigraft.data.plain_text import load


def test_lines_of_several_files_are_train_and_dev(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(f"行{i}" for i in range(300)) + "\n\n行0\n", encoding="utf-8")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"last line\n"))
    data = load(path=["a.txt", "b.txt.gz"], root=str(tmp_path), dev_share=0.1)
    assert sorted(data.train.texts + data.dev.texts) == sorted([*(f"行{i}" for i in range(300)), "last line"])
    assert 15 <= len(data.dev) <= 45
    assert not set(data.train.texts) & set(data.dev.texts)
    assert len(data.test) == 0
    assert data.classes == ()
    # Two files end with a line break, which makes an empty last line.
    assert data.report["empty_or_repeated"] == 4


def test_what_cannot_be_read_is_said_in_a_sentence(tmp_path):
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(ValueError, match="empty.txt holds no text; a text a line is expected"):
        load(path="empty.txt", root=str(tmp_path))
    with pytest.raises(FileNotFoundError, match="no data file missing.txt"):
        load(path="missing.txt", root=str(tmp_path))
    with pytest.raises(ValueError, match="data.dev_share is 2; a share between 0 and 1"):
        load(path="empty.txt", root=str(tmp_path), dev_share=2)
