import re
from typing import Any

import pytest

from lexigraft.data.labels import (
    in_order,
    names_in,
    numbered,
    ranked,
    read_label,
    read_units,
    require_a_tag_each,
)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("class", " x ", "x"),
        ("class", 2.0, "2"),
        ("class", "", None),
        ("order", 1.5, "1.5"),
        ("order", 2.0, "2"),
        ("several", "a|b", ("a", "b")),
        ("several", " a | b |", ("a", "b")),
        ("several", "", ()),
        ("several", [], ()),
        ("several", ["x|y", 3], ("x|y", "3")),
        ("several", '["x|y", "b"]', ("x|y", "b")),
        ("several", 7, ("7",)),
        ("several", None, None),
        ("number", "-1.5e2", -150.0),
        ("number", 3, 3.0),
        ("number", " ", None),
        ("tags", "O B-PER", ("O", "B-PER")),
        ("tags", ["O", "B-PER"], ("O", "B-PER")),
        ("tags", "", None),
        ("tags", None, None),
    ],
)
def test_labels_as_files_write_them(kind: str, value: object, expected: Any) -> None:
    assert read_label(value, kind, "here") == expected


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("class", 0.5, "holds 0.5; one class name or number is expected; numbers are for task=regression"),
        ("class", ["a"], "holds ['a']; one class name or number is expected; lists are for task=multilabel"),
        ("number", "good", "here: the label column holds 'good'; a number is expected"),
        ("number", "nan", "a number is expected"),
        ("number", float("inf"), "a number is expected"),
        ("number", True, "a number is expected"),
        ("several", 0.5, "class names with | between them, or a list of them, is expected"),
        ("several", "[1, 2", "holds '[1, 2', which is no JSON list"),
        ("several", [["a"]], "class names with | between them"),
        ("tags", 3.5, "tags with spaces between them, or a list of them, is expected"),
    ],
)
def test_what_is_no_such_label_is_refused(kind: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read_label(value, kind, "here")


def test_units_from_a_text_or_a_list() -> None:
    assert read_units(" a  b\t", "here") == "a b"
    assert read_units(["a", "b"], "here") == "a b"
    assert read_units(None, "here") == ""
    with pytest.raises(ValueError, match="here: the unit 'New York' is empty or holds a space"):
        read_units(["in", "New York"], "here")
    with pytest.raises(ValueError, match="here: the unit '' is empty"):
        read_units([""], "here")
    with pytest.raises(ValueError, match="the text column holds 3; units with spaces between them"):
        read_units(3, "here")


def test_every_unit_needs_a_tag() -> None:
    require_a_tag_each("a b", ("O", "O"), "here")
    with pytest.raises(ValueError, match="here: 2 units have 1 tags; one tag for each unit is expected"):
        require_a_tag_each("a b", ("O",), "here")


def test_numbers_of_classes() -> None:
    order = {"a": 0, "b": 1, "c": 2}
    assert numbered("b", order, "class") == 1
    assert numbered(("c", "a", "c"), order, "several") == (0, 2)
    assert numbered(("c", "a", "c"), order, "tags") == (2, 0, 2)
    assert numbered(0.5, {}, "number") == 0.5
    assert names_in(["a", ("b", "c"), ()]) == {"a", "b", "c"}


def test_order_of_classes_and_ranks() -> None:
    assert in_order({"10", "9", "-1"}) == ["-1", "9", "10"]
    assert in_order({"10", "9", "x"}) == ["10", "9", "x"]
    assert ranked({"10", "2.5", "-1"}, None, "data toy") == (["-1", "2.5", "10"], ("-1", "2.5", "10"))
    assert ranked({"1", "2"}, ["bad", "good"], "data toy") == (["1", "2"], ("bad", "good"))
    assert ranked({"high", "low"}, ["low", "high"], "data toy") == (["low", "high"], ("low", "high"))
    with pytest.raises(ValueError, match=r"data toy: the labels 'high', 'low' are no numbers.*data\.classes=\[lowest"):
        ranked({"high", "low"}, None, "data toy")
