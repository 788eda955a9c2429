import re
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexigraft.data.cleaning import Cleaning
from lexigraft.data.repair import _to_simplified
from lexigraft.data.text_data import Split, TextData

ALL = {"control": True, "html": True, "half_width": "all", "white_space": True}


def data_of(train, dev=(("dev", 0),), test=(("test", 1),), kind="class"):
    splits = [Split([row[0] for row in rows], [row[1] for row in rows]) for rows in (train, dev, test)]
    return TextData("toy", *splits, ("n", "p"), "zh", {"read": 1}, kind)


def test_every_split_is_repaired_and_counted():
    cleaned = Cleaning(**ALL)(data_of([("a<br>b", 0), ("ｃ ", 1), ("d", 0)], [("&lt;x\u200b", 0)], [("  ", 1)]))
    assert cleaned.train.texts == ["a b", "c", "d"]
    assert cleaned.dev.texts == ["<x"]
    assert cleaned.test.texts == [""]
    counts = cleaned.report["cleaning"]
    assert counts["repaired"]["train"] == {"control": 0, "half_width": 1, "html": 1, "white_space": 1}
    assert counts["repaired"]["dev"] == {"control": 1, "half_width": 0, "html": 1, "white_space": 0}
    assert counts["emptied_dev_or_test"] == 1
    assert cleaned.report["read"] == 1


def test_one_repair_may_make_work_for_another():
    clean = Cleaning(**ALL)
    assert clean.text("＜br＞x") == "x"
    assert clean.text("&#65281;&#x200b;") == "!"
    assert clean.text("<b\u200br>x") == "x"
    assert Cleaning(html=True).text("＜br＞x") == "＜br＞x"


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["<br>", "＜", "＞", "br", "&lt;", "＆", "amp;", "\u200b", " ", "\u3000", "x", "好"])).map(
        "".join
    )
)
def test_a_clean_text_stays(text):
    clean = Cleaning(**ALL)
    assert clean.text(clean.text(text)) == clean.text(text)


def test_without_options_nothing_changes():
    data = data_of([("a ", 0), ("a ", 0), ("a ", 1), ("dev", 0)])
    cleaned = Cleaning()(data)
    assert cleaned.splits() == data.splits()
    assert cleaned.report["cleaning"]["train_under_several_labels"] == 3


def test_simplifying_is_an_option():
    pytest.importorskip("opencc")
    assert Cleaning(simplified=True).text("漢字 A") == "汉字 A"


def test_simplifying_names_the_extra_that_it_needs(monkeypatch):
    _to_simplified.cache_clear()
    monkeypatch.setitem(sys.modules, "opencc", None)
    with pytest.raises(ImportError, match=re.escape("pip install 'lexigraft[chinese]'")):
        Cleaning(simplified=True).text("漢字")


def test_repeated_conflicting_and_shared_rows_leave_train_alone():
    train = [("a", 0), ("b", 1), ("a", 0), ("c", 0), ("c", 1), ("dev", 1), ("test", 1), ("c", 0)]
    dev = [("dev", 0), ("dev", 0), ("x", 0), ("x", 1)]
    cleaned = Cleaning(drop_duplicates=True)(data_of(train, dev))
    assert cleaned.train.texts == ["a", "b", "c", "c", "dev", "test"]
    assert cleaned.train.labels == [0, 1, 0, 1, 1, 1]
    assert cleaned.report["cleaning"]["dropped_from_train"] == {"empty": 0, "duplicates": 2}
    assert cleaned.report["cleaning"]["train_under_several_labels"] == 2
    assert cleaned.report["splits"]["train"] == {"rows": 6, "classes": {"n": 2, "p": 4}}

    cleaned = Cleaning(drop_duplicates=True, drop_conflicting=True, drop_shared=True)(data_of(train, dev))
    assert cleaned.train.texts == ["a", "b"]
    assert cleaned.report["cleaning"]["dropped_from_train"] == {
        "empty": 0, "under_several_labels": 3, "shared_with_dev_or_test": 2, "duplicates": 1,
    }  # fmt: skip
    assert cleaned.dev.texts == ["dev", "dev", "x", "x"]


def test_rows_that_become_empty_or_equal_by_cleaning_are_dropped():
    cleaned = Cleaning(html=True, white_space=True, drop_duplicates=True, drop_shared=True)(
        data_of([("<br>", 0), ("a<b>", 0), ("a", 0), ("test ", 1)])
    )
    assert cleaned.train.texts == ["a"]
    assert cleaned.report["cleaning"]["dropped_from_train"] == {
        "empty": 1, "shared_with_dev_or_test": 1, "duplicates": 1,
    }  # fmt: skip


LONG = "这家酒店的服务态度很好，房间也很干净，早餐的种类很多，下次还会再来住"


def test_near_repeats_leave_train():
    train = [(LONG, 0), ("短", 1), (LONG + "！", 0), (LONG[:-1], 1), (" ".join(LONG), 0), ("另外一条完全不同的评论", 1)]
    near = Cleaning(near_duplicates=0.8)(data_of(train))
    assert near.train.texts == [LONG, "短", "另外一条完全不同的评论"]
    assert near.report["cleaning"]["dropped_from_train"]["near_duplicates"] == 3

    shared = Cleaning(near_shared=0.8)(data_of(train, dev=[(LONG + "。", 0)]))
    assert shared.train.texts == ["短", "另外一条完全不同的评论"]
    assert shared.dev.texts == [LONG + "。"]
    assert shared.report["cleaning"]["dropped_from_train"] == {"empty": 0, "near_dev_or_test": 4}


def test_of_a_chain_only_what_is_near_a_row_that_stays_is_dropped():
    chain = [LONG[i : i + 25] for i in range(0, 9, 2)]  # neighbours share 20 of 24 grams, the next but one 18 of 26
    cleaned = Cleaning(near_duplicates=0.8)(data_of([(text, 0) for text in [*chain, chain[1]]]))
    assert cleaned.train.texts == chain[::2]


def test_pairs_are_repaired_and_compared_as_pairs():
    data = data_of([("a ", 0), ("a", 0), ("a", 0)])
    data = replace(data, train=replace(data.train, second=["x", "x ", "y"]), dev=replace(data.dev, second=["z"]),
                   test=replace(data.test, second=["z"]))  # fmt: skip
    cleaned = Cleaning(white_space=True, drop_duplicates=True)(data)
    assert cleaned.train.rows() == [("a", "x"), ("a", "y")]
    assert cleaned.dev.second == ["z"]


@pytest.mark.parametrize("kind", ["several", "number", "order"])
def test_other_labels_are_carried_along(kind):
    label = {"several": (0, 1), "number": 0.5, "order": 1}[kind]
    cleaned = Cleaning(white_space=True, drop_duplicates=True)(data_of([("a ", label), ("a", label)], kind=kind))
    assert (cleaned.train.texts, cleaned.train.labels, cleaned.kind) == (["a"], [label], kind)


def test_a_split_alone_is_repaired_as_a_data_set_is():
    clean, split = Cleaning(white_space=True, drop_duplicates=True), Split([" a", "a"], [0, 0], ["b ", "c"])
    assert clean.split(split) == Split(["a", "a"], [0, 0], ["b", "c"])
    with pytest.raises(ValueError, match="new.tsv, text 1: cleaning makes '' of the unit ''"):
        clean.split(Split(["a  b"], [(0, 0, 0)]), "tags", "new.tsv")


def test_units_are_repaired_one_by_one():
    data = data_of([("ＡＢ &amp; 好", (0, 1, 0))], [("a", (0,))], [("b", (1,))], kind="tags")
    assert Cleaning(**ALL)(data).train.texts == ["AB & 好"]
    assert Cleaning(white_space=True).text("a b", "tags") == "a b"


def test_a_repair_that_would_lose_or_split_a_unit_is_refused():
    data = data_of([("a b", (0, 1)), ("x\u200b \u200b y", (0, 1, 0))], kind="tags")
    with pytest.raises(ValueError, match=re.escape("data toy, train, text 2: cleaning makes '' of the unit '\\u200b'")):
        Cleaning(control=True)(data)
    with pytest.raises(ValueError, match="cleaning makes 'a b' of the unit 'a<br>b', so that units and tags would no"):
        Cleaning(html=True).text("x a<br>b", "tags")


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="cleaning.near_shared is 1.5; a similarity above 0 and up to 1 is expected"):
        Cleaning(near_shared=1.5)
    with pytest.raises(ValueError, match="cleaning leaves no training text"):
        Cleaning(drop_shared=True)(data_of([("dev", 0), ("test", 0)]))
