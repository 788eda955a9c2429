import gzip

import pytest

from lexigraft.transplant.columns import read_columns


def test_lines_are_numbered_and_empty_ones_left_out(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_bytes("\ufeffa \tb\r\n\n c\td e\n".encode())
    assert list(read_columns(path, "a table")) == [(1, ["a", "b"]), (3, ["c", "d e"])]


def test_gzipped_files_are_unpacked(tmp_path):
    path = tmp_path / "a.tsv.gz"
    path.write_bytes(gzip.compress("猫\tcat\n".encode()))
    assert list(read_columns(path, "a table")) == [(1, ["猫", "cat"])]


def test_spaces_separate_only_where_asked_for_and_no_tab_stands(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("a  b\nc d\te\n", encoding="utf-8")
    assert [fields for _, fields in read_columns(path, "a table")] == [["a  b"], ["c d", "e"]]
    assert [fields for _, fields in read_columns(path, "a table", spaces=True)] == [["a", "b"], ["c d", "e"]]


def test_what_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_bytes(b"a\tb\n\xff\tb\n")
    with pytest.raises(ValueError, match=r"line 2 of .*a.tsv is not UTF-8"):
        list(read_columns(path, "a table"))
    with pytest.raises(ValueError, match="is a folder: a table is expected"):
        list(read_columns(tmp_path, "a table"))
    with pytest.raises(FileNotFoundError, match=r"b.tsv does not exist"):
        list(read_columns(tmp_path / "b.tsv", "a table"))
    damaged = tmp_path / "a.tsv.gz"
    damaged.write_bytes(gzip.compress(b"a\tb\n" * 1000)[:-9])
    with pytest.raises(ValueError, match="damaged or cut off"):
        list(read_columns(damaged, "a table"))
