import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexigraft.evaluation.entities import entities, entity_scores


def found(tags: str) -> set[tuple[str, int, int]]:
    return entities(tags.split())


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("", set()),
        ("O O", set()),
        ("B-PER I-PER O B-LOC", {("PER", 0, 1), ("LOC", 3, 3)}),
        ("B-PER B-PER", {("PER", 0, 0), ("PER", 1, 1)}),
        ("O I-PER I-PER O", {("PER", 1, 2)}),  # what cannot follow begins an entity
        ("B-PER I-LOC", {("PER", 0, 0), ("LOC", 1, 1)}),
        ("I-PER B-PER I-PER", {("PER", 0, 0), ("PER", 1, 2)}),  # IOB1
        ("S-PER B-LOC I-LOC E-LOC S-LOC", {("PER", 0, 0), ("LOC", 1, 3), ("LOC", 4, 4)}),
        ("B-LOC E-LOC E-LOC I-LOC", {("LOC", 0, 1), ("LOC", 2, 2), ("LOC", 3, 3)}),
        ("S-LOC I-LOC", {("LOC", 0, 0), ("LOC", 1, 1)}),
        ("B M E S B E", {("word", 0, 2), ("word", 3, 3), ("word", 4, 5)}),
        ("B-NN M-NN E-NN S-VV", {("NN", 0, 2), ("VV", 3, 3)}),
        ("B-A I-A L-A U-A", {("A", 0, 2), ("A", 3, 3)}),
        ("B-a-b I-a-b", {("a-b", 0, 1)}),
    ],
)
def test_entities_by_hand(tags: str, expected: set[tuple[str, int, int]]) -> None:
    assert found(tags) == expected


def test_a_unit_without_a_tag_ends_an_entity() -> None:
    assert entities(["B-PER", None, "I-PER"]) == {("PER", 0, 0), ("PER", 2, 2)}


def conlleval(tags: list[str]) -> set[tuple[str, int, int]]:
    """The rules of the Perl script, one by one, for the letters of IOB and of BIOES."""
    spans, start = set(), 0
    previous, kind = "O", ""
    for i, tag in enumerate([*tags, "O"]):
        now, _, now_kind = tag.partition("-")
        end = (
            (previous in "BI" and now in "BSO") or previous in "ES" or (previous != "O" and kind != now_kind)
        ) and previous != "O"
        begin = (
            now in "BS" or (previous in "ESO" and now in "IE") or (now != "O" and previous != "O" and kind != now_kind)
        )
        if end:
            spans.add((kind, start, i - 1))
        if begin:
            start = i
        previous, kind = now, now_kind
    return spans


@given(st.lists(st.sampled_from(["O", *(f"{part}-{kind}" for part in "BIES" for kind in "XY")]), max_size=12))
def test_any_sequence_is_read_as_conlleval_reads_it(tags: list[str]) -> None:
    assert entities(tags) == conlleval(tags)


def test_scores_by_hand() -> None:
    true = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-LOC"], ["B-ORG"]]
    said = [["B-PER", "I-PER", "B-LOC", "B-LOC"], ["B-LOC", "I-LOC"], ["O"]]
    scores = entity_scores(true, said)
    # Right: PER and the LOC of the first text. Wanted: 4. Given: PER, LOC, LOC, LOC.
    assert (scores["precision"], scores["recall"], scores["f1"]) == (0.5, 0.5, 0.5)
    assert scores["entities"] == 4
    assert scores["per_type"] == {
        "LOC": {"precision": 0.333333, "recall": 0.5, "f1": 0.4, "support": 2},
        "ORG": {"precision": None, "recall": 0.0, "f1": 0.0, "support": 1},
        "PER": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1},
    }


def test_scores_of_nothing_are_none() -> None:
    nothing = entity_scores([["O"]], [["O"]])
    assert (nothing["precision"], nothing["recall"], nothing["f1"]) == (None, None, None)
    assert entity_scores([["O"]], [["B-X"]])["recall"] is None
    assert entity_scores([["O"]], [["B-X"]])["f1"] == 0.0
