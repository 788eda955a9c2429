import gzip
from pathlib import Path

import pytest

from lexigraft.data.save import load_labels, load_split, save_splits
from lexigraft.data.text_data import Label, Split, TextData


@pytest.fixture
def data() -> TextData:
    return TextData(
        name="toy",
        train=Split(["never written"], [0]),
        dev=Split(["a\nb", "房间\u2028很好", "tab\there"], [0, 1, 1]),
        test=Split(['"q"', "\ufffd"], [1, 0]),
        classes=("坏", "好"),
        language="zh",
        report={"read": {"train": 1}},
    )


def test_dev_and_test_come_back_and_train_does_not_go(data: TextData, tmp_path: Path) -> None:
    folder = tmp_path / "run" / "data"
    save_splits(data, folder)
    assert load_split(folder, "dev") == data.dev
    assert load_split(folder, "test") == data.test
    names = ["data.json", "dev.jsonl.gz", "test.jsonl.gz", "train_labels.json.gz"]
    assert sorted(p.name for p in folder.iterdir()) == names
    assert data.train.fingerprint() in (folder / "data.json").read_text()
    assert all(b"never written" not in p.read_bytes() for p in folder.iterdir())


def test_equal_data_gives_equal_bytes(data: TextData, tmp_path: Path) -> None:
    for name in "ab":
        save_splits(data, tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_other_texts_are_refused(data: TextData, tmp_path: Path) -> None:
    save_splits(data, tmp_path)
    file = tmp_path / "test.jsonl.gz"
    changed = gzip.decompress(file.read_bytes()).replace(b'"label": 1', b'"label": 0')
    file.write_bytes(gzip.compress(changed))
    with pytest.raises(ValueError, match="is not the test split that this run was evaluated on"):
        load_split(tmp_path, "test")
    file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(ValueError, match=r"test\.jsonl\.gz is damaged .*copy the run folder again"):
        load_split(tmp_path, "test")


def test_a_split_that_is_not_kept(data: TextData, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no dev\.jsonl\.gz in .*: is this the data folder of a finished run"):
        load_split(tmp_path, "dev")
    save_splits(data, tmp_path)
    with pytest.raises(ValueError, match="no split 'train' is kept in a run folder; dev and test are"):
        load_split(tmp_path, "train")


@pytest.mark.parametrize(
    ("kind", "labels", "second"),
    [
        ("several", [(0, 2), (), (1,)], None),
        ("number", [0.1, -3.0, 1e-30], None),
        ("tags", [(0,), (1, 0), (1,)], None),
        ("class", [0, 1, 1], ["x", "", "y\nz"]),
    ],
)
def test_labels_of_every_kind_and_pairs_come_back(
    kind: str, labels: list[Label], second: list[str] | None, tmp_path: Path
) -> None:
    split = Split(["a", "b c", "d"], labels, second)
    save_splits(TextData("toy", split, split, split, ("p", "q", "r"), "en", {}, kind), tmp_path)
    assert load_split(tmp_path, "dev") == split
    assert load_labels(tmp_path) == (("p", "q", "r"), labels)
