import gzip
from pathlib import Path

import pytest

from lexigraft.data.pretraining.text import load

CONTENT = "一行\n  两行 \n\n\n第二段\r\n其余\n \n末\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_bytes(CONTENT.encode())
    (tmp_path / "b.gz").write_bytes(gzip.compress("另一个\n".encode()))
    (tmp_path / "empty.txt").write_text("\n \n")
    return tmp_path


@pytest.mark.parametrize(
    ("by", "documents"),
    [
        ("lines", ["一行", "两行", "第二段", "其余", "末", "另一个"]),
        ("blank_lines", ["一行\n  两行", "第二段\n其余", "末", "另一个"]),
        ("files", ["一行\n  两行 \n\n\n第二段\n其余\n \n末", "另一个"]),
    ],
)
def test_a_document_is_a_line_what_stands_between_blank_ones_or_a_file(
    root: Path, by: str, documents: list[str]
) -> None:
    corpus = load(path=["a.txt", "b.gz"], root=str(root), by=by, language="zh")
    assert (corpus.train, corpus.dev, corpus.language) == (documents, [], "zh")
    assert corpus.report == {"files": 2, "lines": 11, "broken_unicode": 0, "documents": len(documents)}


def test_what_cannot_be_read_is_told(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no data file c.txt in corpus.text.root .*: set corpus"):
        load(path="c.txt", root=str(root), name="mine")
    with pytest.raises(ValueError, match="corpus text: by is 'words'; one of lines, blank_lines, files is expected"):
        load(path="a.txt", root=str(root), by="words")
    with pytest.raises(ValueError, match=r"corpus text: empty.txt holds no text; documents are expected, by=lines"):
        load(path="empty.txt", root=str(root))
