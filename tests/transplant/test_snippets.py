import unicodedata

import numpy as np
import pytest
import tokenizers
import torch

from lexigraft.transplant.snippets import found_snippets
from lexigraft.vocab.tokenizer import Tokenizer
from tests.transplant.matrices import word_tokenizer


def generator():
    return torch.Generator().manual_seed(0)


def found(source, target, words, texts, most=10, length=50):
    ids = np.array([target.backend.token_to_id(w) for w in words])
    return found_snippets(source, target, ids, texts, most, length, generator())


def folded(text):
    return unicodedata.normalize("NFKC", text)


def pieces(source, snippet):
    return [source.backend.id_to_token(int(i)) for i in snippet.ids]


@pytest.mark.parametrize("family", ["wordpiece", "byte_bpe", "sp_bpe", "unigram"])
def test_the_span_spells_the_token_and_the_whole_is_the_text(tokenizers_by_family, words, corpus, family):
    source = tokenizers_by_family[family]
    wanted = [w for w in ("enjoyable", "charming", "résumé", "café", "people") if words.backend.token_to_id(w)]
    for word, snippets in zip(wanted, found(source, words, wanted, corpus)):
        assert snippets, word
        for s in snippets:
            inside = s.ids[s.start : s.stop].tolist()
            assert source.backend.decode(inside).replace(" ", "") == word
            whole = source.backend.decode(s.ids.tolist(), skip_special_tokens=False).replace(" ", "")
            assert any(folded(whole) in folded(text.replace(" ", "")) for text in corpus)


def test_a_text_gives_one_snippet_of_a_token_and_no_token_more_than_asked(wordpiece, words):
    texts = ["the people and the people of the town"] * 5
    [people, the] = found(wordpiece, words, ["people", "the"], texts, most=3)
    assert len(people) == len(the) == 3
    assert all(pieces(wordpiece, s)[s.start : s.stop] == ["the"] for s in the)


def test_the_window_lies_around_the_token_and_inside_the_text(wordpiece, words):
    text = " ".join(["the"] * 30 + ["people"] + ["the"] * 30)
    [[middle]] = found(wordpiece, words, ["people"], [text], length=11)
    assert (len(middle.ids), middle.start, middle.stop) == (11, 5, 6)
    [[front]] = found(wordpiece, words, ["people"], ["people" + " the" * 30], length=11)
    assert (len(front.ids), front.start) == (11, 0)
    [[back]] = found(wordpiece, words, ["people"], ["the " * 30 + "people"], length=11)
    assert (len(back.ids), back.start) == (11, 10)


def test_a_token_longer_than_the_window_has_no_snippet(wordpiece, words):
    longest = max((w for w in words.backend.get_vocab()), key=lambda w: len(wordpiece.encode([w])[0]))
    assert found(wordpiece, words, [longest], [f"the {longest}"], length=2) == [[]]


def test_pieces_that_cross_the_token_s_edge_are_no_snippet(words, wordpiece):
    """A target of characters: `h` stands inside the source's piece `the`."""
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<unk>": 0, "h": 1, "t": 2, "e": 3}, "<unk>"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex("."), "isolated")
    assert found(wordpiece, Tokenizer.of_backend(backend), ["h"], ["the the"]) == [[]]


def test_words_cut_by_jieba_are_found_in_the_text(wordpiece):
    target = word_tokenizer(["<pad>", "<unk>", "酒店", "态度"])
    target = Tokenizer(target.backend, target.vocabulary, "jieba")
    [hotel, attitude] = found(wordpiece, target, ["酒店", "态度"], ["这家 酒店的态度很好"])
    assert pieces(wordpiece, hotel[0])[hotel[0].start : hotel[0].stop] == ["酒", "店"]
    assert pieces(wordpiece, attitude[0])[attitude[0].start : attitude[0].stop] == ["态", "度"]


def test_white_space_alone_is_nowhere(byte_bpe, wordpiece):
    space = byte_bpe.backend.token_to_id("Ġ")
    assert found_snippets(wordpiece, byte_bpe, np.array([space]), ["a   b"], 5, 50, generator()) == [[]]


def test_no_texts_give_no_snippets(wordpiece, words):
    assert found(wordpiece, words, ["the"], []) == [[]]
    assert found(wordpiece, words, ["the"], [""]) == [[]]


def test_many_texts_are_read_in_an_order_of_the_seed(wordpiece, words):
    texts = [f"the people of {i}" for i in range(2500)]
    ids = np.array([words.backend.token_to_id("people")])
    first, again, other = (
        found_snippets(wordpiece, words, ids, texts, 5, 50, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert [s.ids.tolist() for s in first[0]] == [s.ids.tolist() for s in again[0]]
    assert [s.ids.tolist() for s in first[0]] != [s.ids.tolist() for s in other[0]]
    assert np.asarray(first[0][0].ids).dtype == np.int32
