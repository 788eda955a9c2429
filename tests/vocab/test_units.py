import pytest

from lexigraft.vocab.targets import source_tokenizer
from lexigraft.vocab.targets import words as train_words
from lexigraft.vocab.tokenizer import Tokenizer
from lexigraft.vocab.units import encode_units, running_text
from tests.fixtures.tokenizers import FAMILIES

ENGLISH = ["the", "film", "is", "moving", "slowly"]
MIXED = ["我", "很", "满意", "film", ",", "北京"]


def encoded(tokenizer: Tokenizer, units: list[str], max_tokens: int | None = None) -> tuple[list[int], list[int]]:
    ids, firsts = encode_units(tokenizer, [units], max_tokens)
    assert len(ids[0]) == len(firsts[0])
    return ids[0], firsts[0]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("units", [ENGLISH, MIXED])
def test_every_unit_has_one_first_token_in_order(
    tokenizers_by_family: dict[str, Tokenizer], family: str, units: list[str]
) -> None:
    tokenizer = tokenizers_by_family[family]
    ids, firsts = encoded(tokenizer, units)
    assert [unit for unit in firsts if unit >= 0] == list(range(len(units)))
    for token, unit in zip(ids, firsts):
        entry = tokenizer.vocabulary[token]
        if unit >= 0 and entry.role is None:  # it begins with what the unit begins with, and is more than a mark
            assert units[unit].encode().startswith(entry.surface.strip())
            assert entry.surface.strip()


@pytest.mark.parametrize("family", FAMILIES)
def test_words_are_spelt_as_in_running_text(tokenizers_by_family: dict[str, Tokenizer], family: str) -> None:
    tokenizer = tokenizers_by_family[family]
    ids, _ = encoded(tokenizer, ENGLISH)
    assert ids == tokenizer.encode([" ".join(ENGLISH)])[0]


def test_chinese_characters_carry_no_marks_of_words(unigram: Tokenizer, byte_bpe: Tokenizer) -> None:
    ids, firsts = encoded(unigram, ["我", "很", "好"])
    shown = [unigram.backend.id_to_token(i) for i in ids]
    assert shown == ["<s>", "▁", "我", "很", "好", "</s>"]  # the mark of the text's start alone
    assert firsts == [-1, -1, 0, 1, 2, -1]
    assert encoded(byte_bpe, ["很", "好"])[0] == [
        i for unit in ("很", "好") for i in byte_bpe.encode([unit])[0]
    ]  # without a space between them


def test_running_text() -> None:
    assert running_text(ENGLISH) == "the film is moving slowly"
    assert running_text(["我", "爱", "New", "York", "的", "秋天"]) == "我爱New York的秋天"
    assert running_text([]) == ""


@pytest.mark.parametrize("family", FAMILIES)
def test_cut_units_have_no_token_and_the_end_stays(tokenizers_by_family: dict[str, Tokenizer], family: str) -> None:
    tokenizer = tokenizers_by_family[family]
    before, after = tokenizer.around
    room = len(before) + len(after)
    ids, firsts = encoded(tokenizer, ENGLISH, room + 2)
    assert len(ids) == room + 2
    assert ids[len(ids) - len(after) :] == after
    assert ids[: len(before)] == before
    assert max(firsts) < len(ENGLISH) - 1
    with pytest.raises(ValueError, match=f"give {room + 1} or more"):
        encoded(tokenizer, ENGLISH, room)


def test_what_the_tokenizer_drops_has_no_token(wordpiece: Tokenizer) -> None:
    _, firsts = encoded(wordpiece, ["the", "\u200b\u0007", "film"])
    assert [unit for unit in firsts if unit >= 0] == [0, 2]
    assert encoded(wordpiece, [])[0] == wordpiece.around[0] + wordpiece.around[1]


def test_a_text_of_which_nothing_is_left_is_one_token(characters: Tokenizer) -> None:
    assert encoded(characters, []) == ([characters.stand_in], [-1])


def test_a_segmenter_does_not_cut_units(corpus: list[str]) -> None:
    tokenizer = train_words(None, corpus, "zh")
    _, firsts = encoded(tokenizer, ["这家酒店的服务", "很", "好"])
    assert firsts == [0, 1, 2]


def test_units_of_several_texts(words: Tokenizer) -> None:
    ids, firsts = encode_units(source_tokenizer(words, [], "en"), [["the", "film"], ["film"]])
    assert ids[1] == [ids[0][1]]
    assert firsts == [[0, 1], [0]]
