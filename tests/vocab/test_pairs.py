import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexigraft.vocab.pairs import _cut, encode_pairs
from lexigraft.vocab.targets import source_tokenizer, train_bpe
from lexigraft.vocab.targets import words as train_words
from lexigraft.vocab.tokenizer import Tokenizer
from tests.fixtures.tokenizers import FAMILIES

FIRST, SECOND = "the film is very good", "the hotel"


def padded(tokenizer: Tokenizer) -> Tokenizer:
    return source_tokenizer(tokenizer, [], "en")


def shown(tokenizer: Tokenizer, ids: list[int]) -> list[str | None]:
    return [tokenizer.backend.id_to_token(i) for i in ids]


def one_pair(tokenizer: Tokenizer, max_tokens: int | None = None) -> tuple[list[int], list[int]]:
    ids, types = encode_pairs(tokenizer, [FIRST], [SECOND], max_tokens)
    assert len(ids) == len(types) == 1
    return ids[0], types[0]


def test_the_template_of_bert(wordpiece: Tokenizer) -> None:
    ids, types = one_pair(wordpiece)
    assert shown(wordpiece, ids) == ["[CLS]", *FIRST.split(), "[SEP]", "the", "hotel", "[SEP]"]
    assert types == [0] * 7 + [1] * 3


def test_the_template_of_a_trained_tokenizer(corpus: list[str]) -> None:
    tokenizer = train_bpe(None, corpus, "en", size=400)
    ids, types = one_pair(tokenizer)
    end = tokenizer.backend.token_to_id("</s>")
    assert ids.count(end) == 2
    assert types == [0] * (ids.index(end) + 1) + [1] * (len(ids) - ids.index(end) - 1)


@pytest.mark.parametrize(
    ("family", "between"),
    [
        ("byte_bpe", "<|endoftext|>"),
        ("tiktoken_bpe", "<|end_of_text|>"),
        ("sp_bpe", "</s>"),
        ("unigram", "</s>"),
        ("characters", "<pad>"),
        ("words", "<pad>"),
    ],
)
def test_without_a_template_a_token_parts_the_texts(
    tokenizers_by_family: dict[str, Tokenizer], family: str, between: str
) -> None:
    tokenizer = padded(tokenizers_by_family[family])
    ids, types = one_pair(tokenizer)
    alone, other = (tokenizer.encode([text])[0] for text in (FIRST, SECOND))
    before, after = tokenizer.around
    first, second = (text[len(before) : len(text) - len(after)] for text in (alone, other))
    parting = tokenizer.backend.token_to_id(between)
    assert ids == [*before, *first, parting, *second, *after]
    assert types == [0] * (len(before) + len(first) + 1) + [1] * (len(second) + len(after))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("max_tokens", [5, 7, 8])
def test_a_long_pair_keeps_some_of_both_texts_and_its_end(
    tokenizers_by_family: dict[str, Tokenizer], family: str, max_tokens: int
) -> None:
    tokenizer = padded(tokenizers_by_family[family])
    whole, cut = one_pair(tokenizer), one_pair(tokenizer, max_tokens)
    assert len(cut[0]) == min(max_tokens, len(whole[0]))
    assert set(cut[1]) == {0, 1}
    after = tokenizer.around[1]
    assert cut[0][len(cut[0]) - len(after) :] == after


def test_the_words_of_a_segmenter_stay_whole(corpus: list[str]) -> None:
    tokenizer = train_words(None, corpus, "zh")
    ids, _ = encode_pairs(tokenizer, ["酒店的服务"], ["手机的屏幕"])
    parted = tokenizer.pad_id
    apart = tokenizer.encode(["酒店的服务", "手机的屏幕"])
    assert ids == [[*apart[0], parted, *apart[1]]]


def test_no_room_is_one_sentence(wordpiece: Tokenizer, characters: Tokenizer) -> None:
    with pytest.raises(ValueError, match="max_tokens is 4, but this tokenizer puts 3 special tokens .* give 5 or more"):
        one_pair(wordpiece, 4)
    with pytest.raises(ValueError, match="max_tokens is 2, but this tokenizer puts 1 special tokens .* give 3 or more"):
        one_pair(characters, 2)


def test_an_empty_text_leaves_the_other(wordpiece: Tokenizer) -> None:
    ids, types = encode_pairs(wordpiece, [""], ["hotel"])
    assert shown(wordpiece, ids[0]) == ["[CLS]", "[SEP]", "hotel", "[SEP]"]
    assert types == [[0, 0, 1, 1]]


@given(st.integers(0, 9), st.integers(0, 9), st.integers(2, 12))
def test_the_longer_text_is_cut_first(one: int, other: int, room: int) -> None:
    first, second = _cut(list(range(one)), list(range(other)), room)
    assert len(first) + len(second) == min(room, one + other)
    assert first == list(range(len(first)))
    assert second == list(range(len(second)))
    if one + other > room:  # nothing is taken from a text while the other is longer
        assert len(first) == one or len(first) >= len(second) - 1
        assert len(second) == other or len(second) >= len(first) - 1
