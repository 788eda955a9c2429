from hypothesis import given, settings
from hypothesis import strategies as st

from lexigraft.data.text_data import Label, Split, TextData

rows = st.lists(st.tuples(st.text(), st.integers(0, 3)), max_size=4)


def split(of: list[tuple[str, int]]) -> Split:
    return Split([t for t, _ in of], [label for _, label in of])


@settings(deadline=None)
@given(rows, rows)
def test_fingerprints_are_equal_exactly_for_equal_rows(
    one: list[tuple[str, int]], other: list[tuple[str, int]]
) -> None:
    assert (split(one).fingerprint() == split(other).fingerprint()) == (one == other)


def test_a_text_that_looks_like_two_rows_is_told_from_two_rows() -> None:
    assert Split(["a\n1\tb"], [0]).fingerprint() != Split(["a", "b"], [0, 1]).fingerprint()


def test_splits_come_by_name_in_order() -> None:
    train, dev, test = (Split([t], [0]) for t in "abc")
    data = TextData("x", train, dev, test, ("n", "p"), "en", {})
    assert list(data.splits().items()) == [("train", train), ("dev", dev), ("test", test)]


def test_fingerprints_of_classes_stay_what_they_were() -> None:
    expected = "93b7180fa20483f0275ce65a2d71c607e92c45c89545cb48b5b983f28bbc91c9"
    assert Split(["好书", "a\nb"], [1, 0]).fingerprint() == expected


def test_labels_of_other_kinds_and_second_texts_are_in_the_fingerprint() -> None:
    labels: list[list[Label]] = [[0], [0.0], [(0,)], [()], [(0, 1)]]
    assert len({Split(["a"], of).fingerprint() for of in labels}) == len(labels)
    pairs = [Split(["a"], [0], [second]) for second in ("", "b", "c")]
    assert len({split.fingerprint() for split in [*pairs, Split(["a"], [0])]}) == 4
    assert pairs[1].all_texts() == ["a", "b"]


def test_taken_rows_keep_their_order_and_all_that_belongs_to_them() -> None:
    pairs = Split(["a", "b", "c"], [(0,), 0.5, 2], ["x", "y", "z"])
    assert pairs.take([2, 0, 0]) == Split(["c", "a", "a"], [2, (0,), (0,)], ["z", "x", "x"])
    assert pairs.take([]) == Split([], [], [])
    assert pairs.rows() == [("a", "x"), ("b", "y"), ("c", "z")]
    assert Split(["a"], [0]).take([0]).rows() == [("a", "")]
