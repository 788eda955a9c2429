import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from lexigraft.data.batches import NOT_COUNTED
from lexigraft.data.encoded import Encoded
from lexigraft.data.text_data import Split
from lexigraft.evaluation.ordinal import median_ranks
from lexigraft.runs.predictions import NO_TAG, Predictions, load_predictions, paired, save_predictions, text_id, told
from lexigraft.statistics.measures import contributions
from lexigraft.tasks.losses import CrossEntropy
from lexigraft.tasks.tagging import Tagging

TEXTS = ["好看", "难看", "a film", "", "好看"]
CLASSES = ("差", "中", "好")
NO_TOKENS = Encoded.of([[] for _ in TEXTS])


def scores(rows: int, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).random((rows, 3)).astype(np.float32)
    return drawn / drawn.sum(1, keepdims=True)


def of_kind(kind: str, seed: int = 0) -> Predictions:
    said = scores(5, seed)
    if kind == "number":
        return told(kind, (), Split(TEXTS, [0.5, -1.0, 2.0, 3.25, 0.1]), NO_TOKENS, torch.from_numpy(said[:, 0]))
    if kind == "several":
        return told(kind, CLASSES, Split(TEXTS, [(0, 2), (), (1,), (0,), (0, 1, 2)]), NO_TOKENS, said, 0.3)
    if kind == "tags":
        split = Split(["a b c", "", "d e"], [(0, 1, 2), (), (2, 0)])
        # The last unit was cut off; the second of the first text has two tokens.
        encoded = Encoded(
            np.arange(5, dtype=np.int32), np.array([0, 4, 4, 5]), units=np.array([0, 1, -1, 2, 0], np.int32)
        )
        return told(kind, CLASSES, split, encoded, scores(4, seed))
    return told(kind, CLASSES, Split(TEXTS, [0, 1, 2, 1, 0]), NO_TOKENS, torch.from_numpy(said))


def same(a: Predictions, b: Predictions) -> bool:
    def equal(x, y):
        return x is y is None or (x.dtype == y.dtype and np.array_equal(x, y, equal_nan=x.dtype.kind == "f"))

    arrays = all(equal(getattr(a, n), getattr(b, n)) for n in ("gold", "predicted", "scores", "lengths"))
    return arrays and (a.kind, a.classes, a.texts) == (b.kind, b.classes, b.texts)


@pytest.mark.parametrize("kind", ["class", "several", "number", "order", "tags"])
def test_a_round_trip_and_equal_bytes(kind, tmp_path):
    before = of_kind(kind)
    save_predictions(tmp_path / "predictions" / "test.parquet", before)
    save_predictions(tmp_path / "again.parquet", before)
    assert same(load_predictions(tmp_path / "again.parquet"), before)
    assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "predictions" / "test.parquet").read_bytes()
    assert [path.name for path in (tmp_path / "predictions").iterdir()] == ["test.parquet"]


def test_what_was_said_follows_from_the_scores():
    assert of_kind("class").predicted.tolist() == scores(5).argmax(1).tolist()
    assert of_kind("order").predicted.tolist() == median_ranks(torch.from_numpy(scores(5))).tolist()
    assert of_kind("several").predicted.tolist() == (scores(5) > 0.3).tolist()
    assert of_kind("several").gold.astype(int).tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 1]]
    assert of_kind("number").predicted.tolist() == scores(5)[:, 0].tolist()


def test_units_without_a_token_have_no_tag():
    of = of_kind("tags")
    best = scores(4).argmax(1).tolist()
    assert of.predicted.tolist() == [*best, NO_TAG]
    assert np.isnan(of.scores[4]).all()
    assert np.array_equal(of.scores[:4], scores(4))
    assert of.lengths.tolist() == [3, 0, 2]


def test_the_metrics_of_tags_that_are_kept_are_those_of_the_task():
    split = Split(["a b c", "", "d e"], [(0, 1, 2), (), (2, 0)])
    encoded = Encoded(np.arange(5, dtype=np.int32), np.array([0, 4, 4, 5]), units=np.array([0, 1, -1, 2, 0], np.int32))
    task = Tagging(loss=CrossEntropy(), classes=CLASSES, train=split.labels)
    targets = torch.from_numpy(task.targets(split, encoded))
    labels = targets[targets != NOT_COUNTED]
    for seed in range(5):
        said = torch.from_numpy(scores(4, seed))
        wanted = task.evaluate(said, labels, torch.tensor([3, 0, 1]))
        kept = told(task.kind, task.classes, split, encoded, said)
        for metric in ("accuracy", "macro_f1"):
            rows, value = contributions(kept, metric)
            assert float(value(rows.sum(0))) == pytest.approx(wanted[metric], abs=2e-6)


def test_a_file_can_be_read_by_anyone(tmp_path):
    save_predictions(tmp_path / "a.parquet", of_kind("class"))
    rows = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert list(rows[0]) == ["index", "text", "gold", "predicted", "scores"]
    assert [row["index"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["gold"] for row in rows] == ["差", "中", "好", "中", "差"]
    assert rows[0]["text"] == rows[4]["text"] == text_id("好看")
    assert len(rows[0]["text"]) == 16
    save_predictions(tmp_path / "t.parquet", of_kind("tags"))
    units = pq.read_table(tmp_path / "t.parquet").to_pylist()
    assert [(row["index"], row["unit"]) for row in units] == [(0, 0), (0, 1), (0, 2), (2, 0), (2, 1)]
    assert units[-1]["predicted"] is None
    save_predictions(tmp_path / "s.parquet", of_kind("several"))
    assert pq.read_table(tmp_path / "s.parquet").to_pylist()[0]["gold"] == ["差", "好"]


def test_pairs_of_texts_are_told_apart():
    assert len({text_id("a"), text_id("a", "b"), text_id("ab"), text_id("", "ab"), text_id("a\nb")}) == 5
    split = Split(["x", "x"], [0, 1], ["y", "z"])
    one, other = told("class", CLASSES, split, Encoded.of([[], []]), scores(2)).texts
    assert one != other


def test_ten_thousand_texts_of_ten_classes_take_less_than_a_megabyte(tmp_path):
    random = np.random.default_rng(0)
    raw = np.exp(3 * random.normal(size=(10_000, 10))).astype(np.float32)
    said = raw / raw.sum(1, keepdims=True)
    split = Split([str(i) for i in range(10_000)], random.integers(0, 10, 10_000).tolist())
    save_predictions(tmp_path / "p.parquet", told("class", tuple("abcdefghij"), split, Encoded.of([[]] * 10_000), said))
    assert (tmp_path / "p.parquet").stat().st_size < 700_000


def test_the_same_texts_in_another_order_are_paired():
    a, b = of_kind("class"), of_kind("class", seed=1)
    turned = b.take(np.array([4, 3, 2, 1, 0]))
    first, second = paired(a, turned)
    assert same(first, a)
    # The text that is there twice keeps its order among itself.
    assert same(second, b.take(np.array([4, 1, 2, 3, 0])))
    tags = of_kind("tags")
    assert same(paired(tags, tags.take(np.array([2, 0, 1])))[1], tags)


def test_other_items_labels_and_tasks_are_refused():
    a = of_kind("class")
    with pytest.raises(ValueError, match="different items: 5 texts and 4, and 1 of the first are not among the second"):
        paired(a, a.take(np.array([0, 1, 2, 3])))
    with pytest.raises(ValueError, match="compare runs on the same split, of the same fold"):
        paired(a, replace(a, texts=tuple("vwxyz")))
    with pytest.raises(ValueError, match="of the same texts, but their labels differ"):
        paired(a, replace(a, gold=1 - a.gold))
    with pytest.raises(
        ValueError, match="kind 'class' with the classes 差, 中, 好 were given together with those of k"
    ):
        paired(a, of_kind("order"))
    tags = of_kind("tags")
    with pytest.raises(ValueError, match="labels differ"):
        paired(tags, replace(tags, lengths=np.array([2, 1, 2])))


def test_no_file_a_damaged_and_a_foreign_one_are_sentences(tmp_path):
    path = tmp_path / "p.parquet"
    with pytest.raises(FileNotFoundError, match=r"there is no .*p.parquet: the run has not finished.*rerun=true"):
        load_predictions(path)
    save_predictions(path, of_kind("class"))
    whole = path.read_bytes()
    for damaged in (whole[:-20], b"", whole[:60] + bytes(20) + whole[80:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"p.parquet is damaged or no Parquet file .*copy the folder again"):
            load_predictions(path)
    pq.write_table(pa.table({"x": [1]}), path)
    with pytest.raises(ValueError, match="holds no predictions, but the columns x"):
        load_predictions(path)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "p.parquet"
    save_predictions(path, of_kind("class"))
    before = path.read_bytes()

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_predictions(path, of_kind("order"))
    assert path.read_bytes() == before


def test_classes_of_any_name_come_back(tmp_path):
    names = ("", "a,b", json.dumps(["x"]))
    save_predictions(tmp_path / "p.parquet", replace(of_kind("class"), classes=names))
    assert load_predictions(tmp_path / "p.parquet").classes == names
