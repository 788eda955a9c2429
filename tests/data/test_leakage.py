import os
from dataclasses import replace
from pathlib import Path

import pytest

from lexigraft.data.files import load
from lexigraft.data.leakage import leakage, with_leakage
from lexigraft.data.text_data import Split, TextData
from lexigraft.evaluation.tables import leakage_text

LONG = "这家酒店的服务态度很好，房间也很干净，早餐的种类很多，下次还会再来住"
NOTHING = {"shared": 0, "same_label": 0, "near": 0, "near_same_label": 0}


def data_of(train, dev, test):
    splits = [Split([row[0] for row in rows], [row[1] for row in rows]) for rows in (train, dev, test)]
    return TextData("toy", *splits, ("n", "p"), "zh", {"read": 1})


def test_shared_and_nearly_shared_texts_are_counted_once():
    found = leakage(
        data_of(
            [("a", 0), ("a", 0), ("b", 1), (LONG, 0)],
            [("a", 1), ("c", 0), (LONG + "！", 0), (LONG + "！", 0)],
            [("a", 0), ("b", 0), ("b", 1), (" ".join(LONG), 1)],
        )
    )
    assert found == {
        "similarity": 0.8,
        "dev_in_train": {"texts": 3, "shared": 1, "same_label": 0, "near": 1, "near_same_label": 1},
        "test_in_train": {"texts": 3, "shared": 2, "same_label": 2, "near": 1, "near_same_label": 0},
        "test_in_dev": {"texts": 3, "shared": 1, "same_label": 0, "near": 1, "near_same_label": 0},
    }
    assert leakage_text(found) == (
        "dev in train 1 of 3 texts and 1 nearly (66.7 %; 1 with the same label); "
        "test in train 2 of 3 texts and 1 nearly (100.0 %; 2 with the same label); "
        "test in dev 1 of 3 texts and 1 nearly (66.7 %; 0 with the same label)"
    )


def test_a_text_repeated_in_one_split_is_still_found_in_the_others():
    spaced = " ".join(LONG)
    found = leakage(data_of([(LONG, 0), (spaced, 0)], [(spaced, 0)], [(LONG[:-1], 0)]))
    assert found["dev_in_train"]["shared"] == 1
    assert found["test_in_train"]["near"] == found["test_in_dev"]["near"] == 1


def test_without_a_similarity_only_equal_texts_count():
    found = leakage(data_of([(LONG, 0), ("a", 0)], [(LONG + "！", 0)], [("a", 0), ("a ", 0)]), near=None)
    assert found["dev_in_train"] == {"texts": 1} | NOTHING
    assert found["test_in_train"] == {"texts": 2} | NOTHING | {"shared": 1, "same_label": 1}


def test_what_is_no_similarity_is_refused():
    with pytest.raises(ValueError, match="leakage is 0; a similarity above 0 and up to 1 is expected, such as 0.8, or"):
        leakage(data_of([("a", 0)], [("b", 0)], [("c", 0)]), near=0)


def test_clean_splits_are_said_to_be_so():
    data = with_leakage(data_of([("a", 0)], [("b", 0)], [("c", 0)]))
    assert data.report["leakage"]["test_in_train"] == {"texts": 1} | NOTHING
    assert data.report["read"] == 1
    assert leakage_text(data.report["leakage"]) == "no text of a split stands or nearly stands in another"


def test_a_pair_is_one_text():
    data = data_of([("a", 0)], [("a", 0)], [("a", 0)])
    data = replace(data, train=replace(data.train, second=["x"]), dev=replace(data.dev, second=["x"]),
                   test=replace(data.test, second=["y"]))  # fmt: skip
    found = leakage(data)
    assert (found["dev_in_train"]["shared"], found["test_in_train"]["shared"]) == (1, 0)


@pytest.mark.parametrize("labels", [[(0, 1), (1, 2), (1,)], [0.5, 0.5, 1.5]])
def test_labels_of_any_kind_are_compared(labels):
    data = data_of(*([("a", label)] for label in labels))
    assert leakage(data)["test_in_dev"] == {"texts": 1} | NOTHING | {"shared": 1}


@pytest.mark.skipif("LEXIGRAFT_DATA" not in os.environ, reason="LEXIGRAFT_DATA is not set")
def test_the_known_leak_of_chnsenticorp_is_found():
    if not (Path(os.environ["LEXIGRAFT_DATA"]) / "zh_chnsenticorp").is_dir():
        pytest.skip("there is no ChnSentiCorp in LEXIGRAFT_DATA")
    files = {split: f"zh_chnsenticorp/{split}.tsv.gz" for split in ("train", "dev", "test")}
    found = leakage(load(root=os.environ["LEXIGRAFT_DATA"], drop_shared=False, **files))
    assert (found["test_in_train"]["shared"], found["test_in_train"]["texts"]) == (330, 1178)
    assert not leakage(load(root=os.environ["LEXIGRAFT_DATA"], **files))["test_in_train"]["shared"]
