import random

import pytest

from lexigraft.data.pretraining import keep_out as module
from lexigraft.data.pretraining.keep_out import keep_out, normal

LETTERS = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏"


def text(seed: int, length: int = 40) -> str:
    return "".join(random.Random(seed).choices(LETTERS, k=length))


def kept(documents: list[str], texts: list[str], **settings: float | None) -> list[str]:
    return keep_out(documents, texts, **settings)[0]


def test_what_equals_a_text_but_for_case_width_marks_and_space_goes() -> None:
    unwanted = ["Good 酒店, ＡＢＣ！", "不错"]
    documents = ["good酒店ABC", "GOOD  酒店——abc。", "不 错!", "good酒店abd", "不错的"]
    found, counts = keep_out(documents, unwanted, near=None)
    assert found == ["good酒店abd", "不错的"]
    assert counts == {"documents": 5, "texts": 2, "equal": 3, "shared": 0, "near": 0}


def test_a_document_goes_for_one_of_its_sentences_however_short() -> None:
    documents = ["房间大。不错！早餐好", "房间大，不错，早餐好", "It is late. Not bad. Really", "A 3.5 mark"]
    assert kept(documents, ["不错", "not bad", "3"], near=None) == [documents[1], documents[3]]


def test_a_text_inside_a_document_and_a_document_inside_a_text() -> None:
    unwanted, shorter = text(1, 40), text(2, 12)
    documents = [
        f"前面{unwanted}后面",
        unwanted[5:20],
        f"前面{shorter[:5]}，{shorter[5:]}后面",
        f"前面{shorter[1:]}后面",  # not all of it
        unwanted[5:14],  # too short to tell
    ]
    found, counts = keep_out(documents, [unwanted, shorter], near=None, least=10, run=30)
    assert found == documents[3:]
    assert counts["shared"] == 3


def test_a_run_in_common_but_no_shorter_one() -> None:
    unwanted = text(3, 80)
    documents = [text(4, 30) + unwanted[20:50] + text(5, 30), text(6, 30) + unwanted[20:49] + text(7, 30)]
    assert kept(documents, [unwanted], near=None, run=30) == documents[1:]


def test_near_duplicates_go_and_repeated_documents_with_them() -> None:
    unwanted = text(8, 60)
    near = "".join("X" if i % 21 == 20 else c for i, c in enumerate(unwanted))
    documents = [near, text(9, 60), near + "。"]
    found, counts = keep_out(documents, [unwanted], near=0.6, run=30)
    assert found == [documents[1]]
    assert counts == {"documents": 3, "texts": 1, "equal": 0, "shared": 0, "near": 2}
    assert kept(documents, [unwanted], near=None) == documents


def test_it_leaves_out_what_a_comparison_of_every_two_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 100)  # many blocks
    draw = random.Random(0)
    unwanted = [text(100 + i, draw.choice([3, 8, 15, 40])) for i in range(30)]
    documents = []
    for i in range(200):
        other = unwanted[draw.randrange(30)]
        begin = draw.randrange(len(other))
        documents.append(text(i, draw.randrange(10)) + other[begin : begin + draw.randrange(4, 40)] + text(i + 7, 4))
    least, run, near = 6, 12, 0.5

    def wanted(document: str) -> bool:
        for other in unwanted:
            shorter, longer = sorted((document, other), key=len)
            if document == other or (len(shorter) >= least and shorter in longer):
                return False
            if any(document[i : i + run] in other for i in range(len(document) - run + 1)):
                return False
            one, two = ({t[i : i + 4] for i in range(len(t) - 3)} or {t} for t in (document, other))
            if len(one & two) >= near * len(one | two):
                return False
        return True

    expected = [document for document in documents if wanted(document)]
    assert 20 < len(expected) < 180
    assert kept(documents, unwanted, least=least, run=run, near=near) == expected


def test_nothing_to_keep_out_or_to_keep() -> None:
    assert keep_out(["一", "。"], ["", "！"]) == (
        ["一", "。"],
        {"documents": 2, "texts": 0, "equal": 0, "shared": 0, "near": 0},
    )
    assert kept([], ["一二三"]) == []
    assert normal("… _ 　") == ""


def test_lengths_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="least is 31 and run is 30; 1 <= least <= run is expected"):
        keep_out(["一"], ["二"], least=31)
