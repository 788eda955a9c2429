"""Merges of single tokens: against the library on trained models."""

import json

import pytest

from lexigraft.vocab.bpe import Merges, merges_of_ranks


def model_of(tokenizer) -> dict:
    return json.loads(tokenizer.backend.to_str())["model"]


@pytest.mark.parametrize("family", ["byte_bpe", "sp_bpe"])
def test_pieces_are_those_of_the_library(tokenizers_by_family, family):
    tokenizer = tokenizers_by_family[family]
    merges = Merges(model_of(tokenizer))
    for word in ("moving", "Ġcharming", "▁themoving", "enjoyableboring", "x"):
        if all(tokenizer.backend.model.token_to_id(symbol) is not None for symbol in word):
            library = [piece.value for piece in tokenizer.backend.model.tokenize(word)]
            assert merges.steps(merges.symbols(word))[0] == library


def test_steps_tell_every_entry_on_the_way():
    model = {"merges": [["b", "c"], ["a", "bc"], ["c", "d"]]}
    merges = Merges(model | {"continuing_subword_prefix": None, "end_of_word_suffix": None})
    assert merges.steps("abcd") == (["abc", "d"], ["bc", "abc"])
    merges.append("abc", "d")
    assert merges.steps("abcd") == (["abcd"], ["bc", "abc", "abcd"])
    assert merges.steps("") == ([], [])


def test_symbols_with_a_prefix_and_a_suffix():
    merges = Merges({"merges": [["a", "##b"]], "continuing_subword_prefix": "##", "end_of_word_suffix": "</w>"})
    assert merges.symbols("abc</w>") == ["a", "##b", "##c</w>"]
    assert merges.symbols("##bc") == ["##b", "##c"]
    assert merges.symbols("</w>") == ["<", "##/", "##w", "##>"]
    assert merges.steps(merges.symbols("ab")) == (["ab"], ["ab"])


def test_ranks_name_each_merge_once(byte_bpe):
    entries = model_of(byte_bpe)["vocab"]
    ranks = {content: i for content, i in entries.items() if content != "<|endoftext|>"}
    assert merges_of_ranks(ranks) == [tuple(pair) for pair in model_of(byte_bpe)["merges"]]
    assert merges_of_ranks({"a": 0, "b": 1, "abc": 2}) == []  # nothing makes it
