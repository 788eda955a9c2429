import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexigraft.data.near_duplicates import group_near_duplicates

ALPHABET = "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行学法所民得经十三之进着等部度家电力里如水化高自二理起小物现实加量都两体制机当使点从业本去把性好应开它合还因由其些然前外天政四日那社义事平形相全表间样与关各重新线内数正心反你明看原又么利比或但质气第向道命此变条只没结解问意建月公无系军很情者最立代想已通并提直题党程展五果料象员革位入常文总次品式活设及管特件长求老头基资边流路级少图山统接知较将组见计别她手角期根论运农指几九区强放决西被干做必战先回则任取据处队南给色光门即保治北造百规热领七海口东导器压志世金增争济阶油思术极交受联什认六共权收证改清己美再采转更单风切打白教速花带安场身车例真务具万每目至达走积示议声报斗完类八离华名确才科张信马节话米整空元况今集温传土许步群广石记需段研界拉林律叫且究观越织装影算低持音众书布复容儿须际商非验连断深难近矿千周委素技备半办青省列习响约支般史感劳便团往酸历市克何除消构府称太准精值号率族维划选标写存候毛亲快效斯院查江型眼王按格养易置派层片始却专状育厂京识适属圆包火住调满县局照参红细引听该铁价严"


def texts(n: int, length: int, seed: int) -> list[str]:
    random_ = random.Random(seed)
    return ["".join(random_.choices(ALPHABET, k=length)) for _ in range(n)]


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


@pytest.mark.parametrize("jaccard", [0.0, -0.1, 1.1])
def test_a_similarity_outside_its_range_is_refused(jaccard: float) -> None:
    with pytest.raises(ValueError, match=f"data.near_duplicate is {jaccard}; a similarity above 0 and up to 1"):
        group_near_duplicates(["a"], jaccard)
