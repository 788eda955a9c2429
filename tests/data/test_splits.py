import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexigraft.data.splits import Row, Table, arrange, clean, position
from lexigraft.data.text_data import TextData


def table(rows: list[Row]) -> Table:
    return Table(rows, {"rows": len(rows)})


def numbered(n: int, prefix: str = "text") -> list[Row]:
    return [(f"{prefix} {i}", str(i % 2)) for i in range(n)]


def arranged(train: list[Row], dev: list[Row] | None = None, test: list[Row] | None = None, **options: Any) -> TextData:
    tables = {"train": train, "dev": dev, "test": test}
    return arrange("toy", "en", {s: None if r is None else table(r) for s, r in tables.items()}, **options)


def test_clean_strips_drops_and_counts() -> None:
    pairs: list[tuple[object, object]] = [
        (" a \t", " x "),
        ("", "x"),
        (None, "x"),
        ("b", ""),
        ("c", None),
        ("\ufeffd", 1),
        ("e\ud83d", 2.0),
        ("f\ufffd", True),
    ]
    cleaned = clean(pairs, "here")
    assert cleaned.rows == [("a", "x"), ("d", "1"), ("e\ufffd", "2"), ("f\ufffd", "True")]
    assert cleaned.counts == {
        "rows": 8,
        "empty_text": 2,
        "missing_label": 2,
        "broken_unicode": 1,
        "byte_order_mark": 1,
        "replacement_character": 2,
    }


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ((3, "x"), "here, row 1: the text column holds 3; a text is expected"),
        (("a", 0.5), "here, row 1: the label column holds 0.5; one class name or number is expected"),
        (("a", ["x"]), "here, row 1: the label column holds ['x']"),
    ],
)
def test_clean_refuses_what_is_no_text_or_no_class(pair: tuple[object, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        clean([pair], "here")


@settings(deadline=None)
@given(st.text())
def test_position_is_a_fixed_place_below_one(text: str) -> None:
    assert 0 <= position(text, "dev") < 1
    assert position(text, "dev") == position(text, "dev")


def test_positions_are_spread_evenly_and_differ_by_purpose() -> None:
    places = [position(f"text {i}", "dev") for i in range(2000)]
    tenths = [sum(int(p * 10) == tenth for p in places) for tenth in range(10)]
    assert min(tenths) > 150
    assert max(tenths) < 250
    assert position("a", "dev") != position("a", "fold")
    assert position("a", "dev") == pytest.approx(0.5892042770705821)  # a change here would move every split


def test_given_splits_stay_as_they_are() -> None:
    data = arranged(numbered(6, "a"), numbered(4, "b"), numbered(2, "c"))
    assert data.train.texts == [f"a {i}" for i in range(6)]
    assert data.dev.labels == [0, 1, 0, 1]
    assert data.test.texts == ["c 0", "c 1"]
    assert data.classes == ("0", "1")
    assert (data.name, data.language) == ("toy", "en")
    assert data.report["made"] == {}
    assert data.report["splits"]["train"] == {"rows": 6, "classes": {"0": 3, "1": 3}}


def test_folds_part_the_texts_and_dev_comes_from_the_rest() -> None:
    rows = numbered(400)
    seen: list[str] = []
    for fold in range(5):
        data = arranged(rows, fold=fold, folds=5, dev_share=0.2)
        parts = [set(s.texts) for s in data.splits().values()]
        assert sum(map(len, parts)) == 400 == len(set.union(*parts))
        assert 40 < len(data.dev) < 90
        assert data.report["made"] == {"test": f"fold {fold} of 5 of train", "dev": "0.2 of train"}
        seen += data.test.texts
    assert sorted(seen) == sorted(t for t, _ in rows)


def test_sides_do_not_depend_on_the_order_or_the_other_rows() -> None:
    rows = numbered(300)
    first, backwards, fewer = arranged(rows), arranged(rows[::-1]), arranged(rows[:200])
    for name in ("train", "dev", "test"):
        texts = set(first.splits()[name].texts)
        assert set(backwards.splits()[name].texts) == texts
        assert set(fewer.splits()[name].texts) == texts & {t for t, _ in rows[:200]}


def test_equal_texts_never_stand_on_two_sides() -> None:
    rows = numbered(200) * 2 + [(text, "1") for text, _ in numbered(200)]
    test = [*numbered(20), *numbered(20, "new")]
    for data in (arranged(rows), arranged(rows, test=test)):
        train, dev, held_out = (set(s.texts) for s in data.splits().values())
        assert not train & dev
        assert not train & held_out
        assert not dev & held_out


def test_shared_texts_are_dropped_from_train_alone_and_counted() -> None:
    train, dev, test = numbered(20), numbered(4) + numbered(1, "d"), numbered(6)[3:] + numbered(1, "t")
    data = arranged(train, dev, test)
    assert data.train.texts == [f"text {i}" for i in range(6, 20)]
    assert (len(data.dev), len(data.test)) == (5, 4)
    assert data.report["dropped"] == {"train_rows_in_test": 3, "train_rows_in_dev": 3}
    assert data.report["dev_rows_in_test"] == 1


def test_shared_texts_stay_if_asked() -> None:
    data = arranged(numbered(20), numbered(4), numbered(6), drop_shared=False)
    assert len(data.train) == 20
    assert data.report["dropped"] == {"train_rows_in_test": 0, "train_rows_in_dev": 0}


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["10", "9", "-1"], ("-1", "9", "10")),
        (["10", "9", "x"], ("10", "9", "x")),
        (["b", "a", "b"], ("a", "b")),
    ],
)
def test_classes_are_train_s_labels_in_order(labels: list[str], classes: tuple[str, ...]) -> None:
    train = [(f"t{i}", label) for i, label in enumerate(labels)]
    data = arranged(train, [("d", labels[0])], [("e", labels[1])])
    assert data.classes == classes
    assert [data.classes[i] for i in data.train.labels] == labels


def test_classes_can_be_named_and_the_order_of_labels_given() -> None:
    train, other = [("a", "1"), ("b", "2")], [("c", "2")]
    assert arranged(train, other, [("d", "2")], classes=["no", "yes"]).classes == ("no", "yes")
    data = arranged(train, other, [("d", "2")], labels=["2", "1", "0"])
    assert data.classes == ("2", "1", "0")
    assert data.train.labels == [1, 0]


def two(prefix: str) -> list[Row]:
    return [(f"{prefix}a", "x"), (f"{prefix}b", "y")]


@pytest.mark.parametrize(
    ("train", "dev", "options", "message"),
    [
        (two("t"), None, {"dev_share": 0.0}, "data.dev_share is 0.0; a share between 0 and 1 is expected"),
        (two("t"), None, {"fold": 10}, "data.fold is 10 of data.folds 10; a fold from 0 to folds - 1"),
        (two("t"), None, {"folds": 1}, "data.fold is 0 of data.folds 1"),
        (two("t"), [], {}, "data toy: the dev split holds no labelled text (rows: train 2, dev 0, test 2)"),
        (two("t"), None, {"dev_share": 1e-9}, "the dev split (1e-09 of train) holds no labelled text"),
        (two("e"), two("d"), {}, "the train split holds no labelled text"),
        ([("a", "x")], two("d"), {}, "train has the one label 'x'; two or more classes are expected"),
        (two("t"), two("d"), {"classes": ["a"]}, "names 1 classes, but train has 2 labels: 'x', 'y'"),
        (two("t"), two("d"), {"classes": ["a", "a"]}, "data.classes names a class twice: 'a', 'a'"),
        (
            two("t"),
            [("d", "z")],
            {},
            "dev has labels that train lacks: 'z'; train's are 'x', 'y'",
        ),
    ],
)
def test_mistakes_get_one_sentence(
    train: list[Row], dev: list[Row] | None, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        arranged(train, dev, two("e"), **options)


def test_long_lists_of_labels_are_cut_in_messages() -> None:
    train = [(f"t{i}", f"{i}") for i in range(30)]
    with pytest.raises(ValueError, match=r"'19' and 10 more$"):
        arranged(train, [("d", "99")], [("e", "1")])


def test_folds_of_pairs_go_by_both_texts() -> None:
    rows: list[Row] = [(f"text {i // 4}", str(i % 2), f"other {i % 4}") for i in range(400)]
    data = arranged(rows, folds=4)
    seen = [set(zip(s.texts, s.second or [])) for s in data.splits().values()]
    assert sum(map(len, seen)) == 400 == len(set.union(*seen))
    assert len({text for text, _ in seen[0]} & {text for text, _ in seen[2]}) > 20  # one text alone decides nothing
    test = [rows[0], ("text 1", "0", "elsewhere")]
    assert arranged(rows, test=test).report["dropped"]["train_rows_in_test"] == 1


def test_several_labels_and_classes_that_train_lacks() -> None:
    train: list[Row] = [("a", ("x", "y")), ("b", ()), ("c", ("y",))]
    data = arranged(train, [("d", ("z", "x"))], [("e", ())], kind="several")
    assert data.classes == ("x", "y", "z")
    assert data.train.labels == [(0, 1), (), (1,)]
    assert data.dev.labels == [(0, 2)]
    assert data.report["classes_not_in_train"] == {"dev": 1}
    assert data.report["splits"]["train"] == {"rows": 3, "classes": {"x": 1, "y": 2, "z": 0}}
    assert data.kind == "several"


def test_numbers_have_no_classes() -> None:
    data = arranged([("a", 1.5), ("b", -2.0)], [("c", 9.0)], [("d", 0.0)], kind="number")
    assert data.classes == ()
    assert data.train.labels == [1.5, -2.0]
    assert data.report["splits"]["dev"] == {"rows": 1, "classes": {}}


def test_ranks_are_in_the_order_of_their_numbers_or_of_the_names() -> None:
    train: list[Row] = [("a", "10"), ("b", "9"), ("c", "2.5")]
    data = arranged(train, train[:1], train[1:], kind="order", drop_shared=False)
    assert (data.classes, data.train.labels) == (("2.5", "9", "10"), [2, 1, 0])
    words: list[Row] = [("a", "good"), ("b", "bad"), ("c", "fair")]
    options: dict[str, Any] = {"kind": "order", "drop_shared": False, "classes": ["bad", "fair", "good"]}
    assert arranged(words, words[:1], words[1:], **options).train.labels == [2, 0, 1]


def test_tags_tell_their_scheme() -> None:
    rows: list[Row] = [("a b", ("B-X", "I-X")), ("c", ("O",))]
    data = arranged(rows, rows, rows, kind="tags", drop_shared=False)
    assert data.train.labels == [(0, 1), (2,)]
    assert data.report["scheme"] == "IOB2"
    words: list[Row] = [("a b", ("NN", "VV"))]
    report = arranged(words, words, words, kind="tags", drop_shared=False).report
    assert report["scheme"] == "none, a class for each unit"


@pytest.mark.parametrize(
    ("kind", "train", "options", "message"),
    [
        ("number", [("a", 1.0), ("b", 1.0)], {}, "every label of train is 1.0; two different numbers are expected"),
        ("number", [("a", 1.0), ("b", 2.0)], {"classes": ["x", "y"]}, "the labels are numbers: set data.classes=null"),
        ("order", [("a", "x"), ("b", "y")], {}, "'x', 'y' are no numbers, so their order is unknown"),
        ("order", [("a", "1"), ("b", "2")], {"classes": ["x"]}, "names 1 classes, but train has 2 labels"),
        ("several", [("a", ()), ("b", ())], {}, "train has no label; two or more classes are expected"),
        ("tags", [("a", ("O",))], {}, "train has the one label 'O'; two or more classes are expected"),
    ],
)
def test_labels_of_other_kinds_get_one_sentence(
    kind: str, train: list[Row], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        arranged(train, train, train, kind=kind, drop_shared=False, **options)
