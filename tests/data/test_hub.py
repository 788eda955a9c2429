from pathlib import Path

import datasets
import pytest

from lexigraft.data import hub


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what `datasets` caches out of the user's home."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of csv files such as people keep: train, validation and test."""
    path = tmp_path / "reviews"
    path.mkdir()
    for split, n in (("train", 60), ("validation", 6), ("test", 4)):
        rows = [f"{split} {i},{('bad', 'good')[i % 2]}" for i in range(n)]
        (path / f"{split}.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    return path


@pytest.fixture
def glue(tmp_path: Path) -> Path:
    """A folder of parquet files as the hub keeps them: two configurations, named classes, an unlabelled test."""
    path = tmp_path / "glue"
    features = datasets.Features(
        {"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=["positive", "negative"])}
    )
    for config in ("sst2", "cola"):
        (path / config).mkdir(parents=True)
        for split, labels in (("train", [1, 0] * 40), ("validation", [0, 1, -1]), ("test", [-1] * 3)):
            sentences = [f"{config} {split} {i}" for i in range(len(labels))]
            rows = datasets.Dataset.from_dict({"sentence": sentences, "label": labels}, features=features)
            rows.to_parquet(path / config / f"{split}-00000-of-00001.parquet")
    lines = ["---", "configs:"]
    for config in ("sst2", "cola"):
        lines += [f"- config_name: {config}", "  data_files:"]
        for split in ("train", "validation", "test"):
            lines += [f"  - split: {split}", f"    path: {config}/{split}-*"]
    (path / "README.md").write_text("\n".join([*lines, "---", ""]))
    return path


def test_a_folder_of_csv_files(folder: Path) -> None:
    data = hub.load(name=str(folder), language="en")
    assert [len(s) for s in data.splits().values()] == [60, 6, 4]
    assert data.classes == ("bad", "good")
    assert data.test.labels == [0, 1, 0, 1]
    assert data.report["read"]["train"]["rows"] == 60


def test_a_folder_under_root_and_parts_made_from_train(folder: Path) -> None:
    data = hub.load(name="reviews", root=str(folder.parent), dev=None, test=None, fold=1, folds=3, dev_share=0.3)
    assert sum(map(len, data.splits().values())) == 60
    assert data.report["made"] == {"test": "fold 1 of 3 of train", "dev": "0.3 of train"}


def test_named_classes_keep_their_order(glue: Path) -> None:
    data = hub.load(name=str(glue), config="sst2", text="sentence", test=None, language="en")
    assert data.classes == ("positive", "negative")
    assert data.dev.texts == ["sst2 validation 0", "sst2 validation 1"]
    assert data.dev.labels == [0, 1]
    assert data.report["read"]["dev"]["missing_label"] == 1


def test_an_unlabelled_test_says_what_to_do(glue: Path) -> None:
    with pytest.raises(ValueError, match=r"split test: no row has a label .*set data\.test=null to take"):
        hub.load(name=str(glue), config="sst2", text="sentence")


def test_a_hub_name_goes_through_the_resolver(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def resolve(name: str, *, kind: str) -> Path:
        asked.append((name, kind))
        return folder

    monkeypatch.setattr(hub, "resolve", resolve)
    assert hub.load(name="someone/reviews").name == "someone/reviews"
    assert asked == [("someone/reviews", "dataset")]


def test_a_folder_that_datasets_cannot_read_is_a_sentence(folder: Path, glue: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"data set .*empty cannot be read, check data.name and data.config: "):
        hub.load(name=str(tmp_path / "empty"))
    with pytest.raises(ValueError, match=r"cannot be read, check data.name and data.config: .*sst2") as told:
        hub.load(name=str(glue), config="rte")
    assert "\n" not in str(told.value)


def test_mistakes_list_what_is_there(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"no split 'dev'; set data\.dev= to one of: train, validation, test, or"):
        hub.load(name=str(folder), dev="dev")
    with pytest.raises(ValueError, match=r"no column 'review' for the text; it has: text, label"):
        hub.load(name=str(folder), text="review")
    with pytest.raises(ValueError, match=r"train\.csv is a file; data=files reads files"):
        hub.load(name=str(folder / "train.csv"))


def write_parquet(path: Path, rows: dict[str, list[object]], features: dict[str, object]) -> str:
    """A folder with one split, train, of such rows; its name."""
    path.mkdir()
    datasets.Dataset.from_dict(rows, features=datasets.Features(features)).to_parquet(path / "train.parquet")
    return str(path)


def test_tags_as_the_hub_keeps_them(tmp_path: Path) -> None:
    """CoNLL-2003: lists of tokens, and lists of numbers whose names the column knows."""
    rows: dict[str, list[object]] = {
        "tokens": [[f"EU{i}", "rejects"] for i in range(60)],
        "ner_tags": [[2, 0] if i % 2 else [0, 0] for i in range(60)],
    }
    names = datasets.ClassLabel(names=["O", "B-PER", "B-ORG"])
    features: dict[str, object] = {
        "tokens": datasets.List(datasets.Value("string")), "ner_tags": datasets.List(names),
    }  # fmt: skip
    name = write_parquet(tmp_path / "conll", rows, features)
    data = hub.load(name=name, text="tokens", label="ner_tags", dev=None, test=None, kind="tags", language="en")
    assert data.classes == ("O", "B-PER", "B-ORG")
    assert {label for split in data.splits().values() for label in split.labels} == {(2, 0), (0, 0)}
    assert all(len(text.split(" ")) == 2 for text in data.train.texts)
    assert data.report["scheme"] == "IOB2"


def test_pairs_with_numbers_and_lists_of_classes(tmp_path: Path) -> None:
    """STS-B has sentence pairs with a score, where -1 is a number too; GoEmotions lists of classes."""
    texts: list[object] = [f"text {i}" for i in range(60)]
    rows = {"a": texts, "b": list(reversed(texts)), "score": [-1.0 if i % 2 else i / 10 for i in range(60)]}
    value = datasets.Value("string")
    name = write_parquet(tmp_path / "stsb", rows, {"a": value, "b": value, "score": datasets.Value("float32")})
    options = {"text": "a", "second": "b", "label": "score", "dev": None, "test": None, "kind": "number"}
    data = hub.load(name=name, language="en", **options)  # type: ignore[arg-type]
    assert data.classes == ()
    assert data.train.second is not None
    place = data.train.texts.index("text 1")
    assert (data.train.second[place], data.train.labels[place]) == ("text 58", -1.0)

    several = datasets.List(datasets.ClassLabel(names=["joy", "anger"]))
    rows = {"text": texts, "labels": [[[], [0], [0, 1]][i % 3] for i in range(60)]}
    name = write_parquet(tmp_path / "emotions", rows, {"text": value, "labels": several})
    data = hub.load(name=name, label="labels", dev=None, test=None, kind="several", language="en")
    assert data.classes == ("joy", "anger")
    assert set(data.train.labels) == {(), (0,), (0, 1)}
