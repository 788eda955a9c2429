from hypothesis import given, settings
from hypothesis import strategies as st

from lexigraft.data.text_data import Split, TextData

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
