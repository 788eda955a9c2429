import gzip
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from lexigraft.data.files import load, read_labelled, read_table

ROWS = [('"quoted start', "0"), ("a, b", "1"), ("房间 很好", "0"), ('say ""x""', "1")] + [
    (f"text {i}", str(i % 2)) for i in range(96)
]


def tsv(rows: list[tuple[str, str]], header: str = "label\ttext") -> str:
    return "\n".join([header, *(f"{label}\t{text}" for text, label in rows)]) + "\n"


def as_csv(rows: list[tuple[str, str]]) -> str:
    return "\r\n".join(["text,label", *('"{}",{}'.format(t.replace('"', '""'), label) for t, label in rows)])


def jsonl(rows: list[tuple[str, str]]) -> str:
    return "\n".join(json.dumps({"id": 1, "text": t, "label": int(label)}) for t, label in rows)


WRITERS = {"tsv": tsv, "csv": as_csv, "jsonl": jsonl}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("kind", WRITERS)
def test_every_kind_gives_the_same_rows(tmp_path: Path, kind: str, bom: bytes, compressed: bool) -> None:
    content = bom + WRITERS[kind](ROWS).encode()
    path = tmp_path / f"x.{kind}{'.gz' if compressed else ''}"
    path.write_bytes(gzip.compress(content) if compressed else content)
    table = read_table(path, "text", "label")
    assert table.rows == ROWS
    assert {k: n for k, n in table.counts.items() if n} == {"rows": 100}


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_csv_texts_may_hold_line_breaks_and_be_long(tmp_path: Path) -> None:
    path = write(tmp_path, "x.csv", f'text,label\n"a\nb",x\n{"长" * 150_000},y\n')
    assert read_table(path, "text", "label").rows == [("a\nb", "x"), ("长" * 150_000, "y")]


def test_blank_lines_and_line_ends_of_windows_are_no_rows(tmp_path: Path) -> None:
    path = write(tmp_path, "x.tsv", "label\ttext\r\n1\ta\r\n\r\n2\tb\r\n")
    assert read_table(path, "text", "label").rows == [("a", "1"), ("b", "2")]
    path = write(tmp_path, "x.jsonl", '{"text": "a", "label": 1}\n\n{"text": "b"}\n{"text": null, "label": 2}\n')
    table = read_table(path, "text", "label")
    assert table.rows == [("a", "1")]
    assert (table.counts["rows"], table.counts["missing_label"], table.counts["empty_text"]) == (3, 1, 1)


def test_broken_bytes_are_replaced_and_counted(tmp_path: Path) -> None:
    content = tsv(ROWS).encode().replace("很好".encode(), "很好".encode()[:-1])
    table = read_table(write(tmp_path, "x.tsv", content), "text", "label")
    assert table.rows[2] == ("房间 很\ufffd", "0")
    assert table.counts["broken_unicode"] == table.counts["replacement_character"] == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.parquet", b"", "unknown kind of file; .tsv, .csv, .jsonl are expected, plain or with .gz"),
        ("x.tsv", b" \n\n", "x.tsv is empty; a header and rows are expected"),
        ("x.tsv", "label\ttext\n1\ta\n2\tb\tc\n", "line 3: 3 columns, but the header has 2 (label, text)"),
        ("x.csv", "text,label\na,1\nb\n", "line 3: 1 columns, but the header has 2 (text, label)"),
        ("x.csv", 'text,label\n"a"b,1\n', "line 2: not valid CSV"),
        ("x.jsonl", '{"text": "a", "label": 1}\n{"text', "line 2: not valid JSON"),
        ("x.jsonl", "[1]", "line 1: a JSON object is expected, with the keys of text and label"),
        ("x.tsv", tsv([("中文", "1")] * 9).encode("gb18030"), "is not UTF-8: 9 of 11 lines are broken; convert it"),
        ("x.tsv", tsv(ROWS).encode("utf-16"), "is UTF-16; save it as UTF-8"),
        ("x.tsv.gz", b"not gzip", "is not a whole gzip file"),
        ("x.tsv.gz", gzip.compress(os.urandom(9999))[:500], "is not a whole gzip file"),
        (
            "x.tsv",
            "labels\ttitle\tText\n1\ta\tb\n",
            "no column 'text' for the text; it has: Text, ",
        ),
        (
            "x.tsv",
            "labels\ttext\n1\ta\n",
            "has no column 'label' for the label; it has: labels, text",
        ),
    ],
)
def test_malformed_files_get_one_sentence(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read_table(write(tmp_path, name, content), "text", "label")


def test_load_reads_files_under_root(tmp_path: Path) -> None:
    for name, prefix, n in (("train", "a", 8), ("dev", "b", 4), ("test", "c", 2)):
        (tmp_path / "set").mkdir(exist_ok=True)
        write(tmp_path / "set", f"{name}.tsv", tsv([(f"{prefix}{i}", str(i % 2)) for i in range(n)], "y\tt"))
    options: dict[str, Any] = {"root": str(tmp_path / "set"), "text": "t", "label": "y", "classes": ["no", "yes"]}
    data = load(name="toy", language="en", train="train.tsv", dev="dev.tsv", test="test.tsv", **options)
    assert [len(s) for s in data.splits().values()] == [8, 4, 2]
    assert (data.name, data.language, data.classes) == ("toy", "en", ("no", "yes"))
    assert data.report["read"]["dev"]["rows"] == 4


def test_load_carves_what_is_not_given(tmp_path: Path) -> None:
    path = write(tmp_path, "all.jsonl", jsonl(ROWS))
    data = load(train=str(path), fold=3, folds=4)
    assert sum(map(len, data.splits().values())) == 100
    assert data.report["made"]["test"] == "fold 3 of 4 of train"
    assert "dev" not in data.report["read"]


def test_a_missing_file_tells_how_to_set_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="no data file a/b.tsv here, and data.root is not set: set data.root="):
        load(train="a/b.tsv")
    with pytest.raises(FileNotFoundError, match=r"in data\.root /nowhere: .*LEXIGRAFT_DATA"):
        load(train="a/b.tsv", root="/nowhere")


@pytest.mark.parametrize("labels", [("negative", "positive"), ("0", "1")])
def test_a_labelled_file_for_a_trained_model(tmp_path: Path, labels: tuple[str, str]) -> None:
    path = write(tmp_path, "x.tsv", tsv([("a", labels[1]), ("b", labels[0])]))
    split = read_labelled(path, ("negative", "positive"))
    assert (split.texts, split.labels) == (["a", "b"], [1, 0])


def test_class_names_that_are_numbers_stay_names(tmp_path: Path) -> None:
    path = write(tmp_path, "x.tsv", tsv([("a", "1"), ("b", "0")]))
    assert read_labelled(path, ("1", "0")).labels == [0, 1]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "good")], "'good' is no class of this model; its classes are 'negative', 'positive' (or"),
        ([("a", "1"), ("b", "2")], "'1', '2' is no class of this model"),
        (
            [("a", "1")],
            "'1' is no class of this model",
        ),
        ([("a", "0"), ("", "1")], "1 of 2 rows lack a text or a label; all need both"),
        ([], "has a header but no rows; rows with a text and a label are expected"),
    ],
)
def test_a_labelled_file_must_fit_the_model(tmp_path: Path, rows: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read_labelled(write(tmp_path, "x.tsv", tsv(rows)), ("negative", "positive"))


def test_a_labelled_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file .*x\.tsv; a \.tsv, \.csv, \.jsonl file"):
        read_labelled(tmp_path / "x.tsv", ("a", "b"))


# Rows of the files that conf/data/ names: run with LEXIGRAFT_DATA set to the folder that holds them.
@pytest.mark.skipif("LEXIGRAFT_DATA" not in os.environ, reason="needs the data sets of LEXIGRAFT_DATA")
@pytest.mark.parametrize(
    ("file", "rows"),
    [
        ("zh_thucnews_title/train45k", 45_000),
        ("zh_chnsenticorp/train", 9_600),
        ("zh_tnews5/test", 3_599),
        ("en_sst/sst2_sent.train", 6_920),
        ("en_sentconv/mr", 10_662),
        ("en_sentconv/trec.train", 5_452),
        ("en_agnews/train10k_desc", 10_001),
    ],
)
def test_the_real_files_have_their_published_rows(file: str, rows: int) -> None:
    table = read_table(Path(os.environ["LEXIGRAFT_DATA"]) / f"{file}.tsv.gz", "text", "label")
    assert len(table.rows) == table.counts["rows"] == rows


CONLL = "我 O\n爱 O\n北 B-LOC\n京 I-LOC\n\n好 O\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.conll", CONLL),
        ("x.txt", CONLL),
        ("x.tsv", "text\tlabel\n我 爱 北 京\tO O B-LOC I-LOC\n好\tO\n"),
        ("x.tsv", "tokens\ttags\n我 爱 北 京\tO O B-LOC I-LOC\n好\tO\n"),
        (
            "x.jsonl",
            '{"tokens": ["我", "爱", "北", "京"], "tags": ["O", "O", "B-LOC", "I-LOC"]}\n{"tokens": "好", "tags": "O"}',
        ),
    ],
)
def test_tagged_texts_from_every_kind_of_file(tmp_path: Path, name: str, content: str) -> None:
    table = read_table(write(tmp_path, name, content), "text", "label", kind="tags")
    assert table.rows == [("我 爱 北 京", ("O", "O", "B-LOC", "I-LOC")), ("好", ("O",))]


@pytest.mark.parametrize(
    ("name", "content", "kind", "message"),
    [
        ("x.conll", CONLL, "class", "files of words and tags are for task=tagging"),
        ("x.txt", CONLL, "class", "unknown kind of file; .tsv, .csv, .jsonl are expected, plain or with .gz"),
        ("x.tsv", "text\tlabel\na b\tO\n", "tags", "x.tsv, row 1: 2 units have 1 tags"),
        ("x.conll", "a O\nb\n", "tags", "x.conll, line 2: 'b' has no tag"),
        ("x.tsv", "text\tlabel\na\tgood\n", "number", "row 1: the label column holds 'good'; a number is expected"),
    ],
)
def test_labels_of_another_kind_get_one_sentence(
    tmp_path: Path, name: str, content: str, kind: str, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read_table(write(tmp_path, name, content), "text", "label", kind=kind)


def test_pairs_need_both_texts(tmp_path: Path) -> None:
    path = write(tmp_path, "x.tsv", "text\tother\tlabel\na\tb\tx\nc\t\ty\n \ufeffd\te\ufffd\ty\n")
    table = read_table(path, "text", "label", "other")
    assert table.rows == [("a", "x", "b"), ("d", "y", "e\ufffd")]
    assert (table.counts["empty_text"], table.counts["byte_order_mark"]) == (1, 1)
    assert table.counts["replacement_character"] == 1
    with pytest.raises(ValueError, match="has no column 'query' for the second; it has: "):
        read_table(path, "text", "label", "query")
    with pytest.raises(ValueError, match=r"data\.second=other was given, but the texts of task=tagging are no pairs"):
        read_table(path, "text", "label", "other", "tags")


def test_a_labelled_file_of_every_kind(tmp_path: Path) -> None:
    path = write(tmp_path, "x.tsv", "text\tother\tlabel\na b\tc\tyes\nd\te\tno\n")
    pairs = read_labelled(path, ("no", "yes"), second="other")
    assert (pairs.texts, pairs.second, pairs.labels) == (["a b", "d"], ["c", "e"], [1, 0])
    path = write(tmp_path, "x.tsv", "text\tlabel\na\tx|z\nb\t\n")
    assert read_labelled(path, ("x", "y", "z"), kind="several").labels == [(0, 2), ()]
    path = write(tmp_path, "x.tsv", "text\tlabel\na\t1.5\n")
    assert read_labelled(path, (), kind="number").labels == [1.5]
    path = write(tmp_path, "x.conll", "a B-X\nb O\n")
    assert read_labelled(path, ("B-X", "O"), kind="tags").labels == [(0, 1)]
    with pytest.raises(ValueError, match="'B-X' is no class of this model"):
        read_labelled(path, ("B-Y", "O"), kind="tags")
