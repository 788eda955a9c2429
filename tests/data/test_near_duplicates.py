import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexigraft.data.near_duplicates import group_near_duplicates, near_pairs

HAN = [chr(code) for code in range(0x4E00, 0x9FA5)]


def texts(n: int, length: int, seed: int) -> list[str]:
    random_ = random.Random(seed)
    return ["".join(random_.choices(HAN, k=length)) for _ in range(n)]


def test_near_repeats_share_a_group_and_others_stand_alone() -> None:
    originals = texts(200, 60, seed=1)
    edited = [text[:30] + "！" + text[30:] for text in originals[:50]]
    groups = group_near_duplicates(originals + edited, 0.7)
    assert sorted(map(sorted, groups)) == sorted([[i, 200 + i] for i in range(50)] + [[i] for i in range(50, 200)])


def test_a_chain_of_pairs_is_one_group() -> None:
    (text,) = texts(1, 40, seed=2)
    chain = [text[i : i + 30] for i in range(0, 11, 2)]  # neighbours: 25 of 29 grams shared; the ends: 17 of 37
    assert group_near_duplicates(chain, 0.7) == [list(range(6))]
    assert len(group_near_duplicates(chain, 0.95)) == 6


def test_white_space_does_not_count_and_short_texts_are_compared_whole() -> None:
    groups = group_near_duplicates(["不 错 的 书", "不错的书", "好", "好 ", "好的", ""], 1.0)
    assert sorted(map(sorted, groups)) == [[0, 1], [2, 3], [4], [5]]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(alphabet="abc ", max_size=12), max_size=12), st.sampled_from([0.3, 0.7, 1.0]))
def test_groups_part_the_texts_and_hold_every_equal_pair(some: list[str], jaccard: float) -> None:
    groups = group_near_duplicates(some, jaccard)
    assert sorted(i for group in groups for i in group) == list(range(len(some)))
    group_of = {i: n for n, group in enumerate(groups) for i in group}
    for i, one in enumerate(some):
        for j, other in enumerate(some):
            if "".join(one.split()) == "".join(other.split()):
                assert group_of[i] == group_of[j]


def grams(text: str) -> set[str]:
    bare = "".join(text.split())
    return {bare[i : i + 4] for i in range(max(1, len(bare) - 3))}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(alphabet="abc ", max_size=14), max_size=12, unique=True), st.floats(0.05, 1.0))
def test_every_pair_is_found_with_its_similarity(some: list[str], jaccard: float) -> None:
    some = [text for i, text in enumerate(some) if "".join(text.split()) not in map("".join, map(str.split, some[:i]))]
    first, second, similarity = near_pairs(some, jaccard)
    found = {frozenset(pair): of for *pair, of in zip(first.tolist(), second.tolist(), similarity.tolist())}
    assert len(found) == len(first)
    for i, one in enumerate(some):
        for j, other in enumerate(some[:i]):
            exact = len(grams(one) & grams(other)) / len(grams(one) | grams(other))
            if exact >= jaccard:
                assert found.pop(frozenset((i, j))) == pytest.approx(exact)
    assert all(of >= jaccard - 1e-8 for of in found.values())
    assert all(of < jaccard for of in found.values())


def test_a_repeated_text_is_paired_by_its_first_place() -> None:
    first, second, similarity = near_pairs(["abcdefgh", "x", "abc defgh", "abcdefg", "x"], 0.8)
    assert sorted(zip(first.tolist(), second.tolist(), similarity.tolist())) == [(0, 2, 1.0), (0, 3, 0.8), (1, 4, 1.0)]


def test_many_candidates_are_compared_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    some = [f"{text}{i}" for i, text in enumerate(texts(5, 30, seed=3) * 20)]
    at_once = near_pairs(some, 0.6)
    monkeypatch.setattr("lexigraft.data.near_duplicates.BLOCK", 7)
    in_blocks = near_pairs(some, 0.6)
    assert len(at_once[0]) == 5 * 20 * 19 / 2
    assert all((a == b).all() for a, b in zip(at_once, in_blocks))


@pytest.mark.parametrize("jaccard", [0.0, -0.1, 1.1])
def test_a_similarity_outside_its_range_is_refused(jaccard: float) -> None:
    with pytest.raises(ValueError, match=f"data.near_duplicate is {jaccard}; a similarity above 0 and up to 1"):
        group_near_duplicates(["a"], jaccard)
