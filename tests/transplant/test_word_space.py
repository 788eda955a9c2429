import dataclasses

import numpy as np
import pytest
import torch

from lexigraft.transplant.word_space import token_vectors
from lexigraft.vocab.vocabulary import Token, Vocabulary
from tests.transplant.matrices import word_matrix

SPACE = ["the", "moving", "film", "<unk>", "movies", "天气", "zzzz"]


@pytest.mark.parametrize("family", ["wordpiece", "byte_bpe", "sp_bpe", "unigram", "characters"])
def test_tokens_are_the_weighted_mean_of_the_words_they_are_in(family, request):
    tokenizer = request.getfixturevalue(family)
    space = word_matrix(SPACE, dim=3)
    ids = np.arange(len(tokenizer.vocabulary))
    made = token_vectors(space, tokenizer.vocabulary, tokenizer, ids)
    expected = torch.zeros(len(ids), 3, dtype=torch.float64)
    total = torch.zeros(len(ids), 1, dtype=torch.float64)
    for rank, word in enumerate(SPACE, start=1):
        if word == "<unk>":
            continue
        inside = {*tokenizer.encode([word])[0], *tokenizer.encode([" " + word])[0]}
        for i in inside:
            if tokenizer.vocabulary[i].role is None:
                expected[i] += space.rows[rank - 1].double() / rank
                total[i] += 1 / rank
    torch.testing.assert_close(made.double(), expected / total.clamp(min=1e-9), rtol=1e-5, atol=1e-6)
    assert torch.equal(made[ids[::-3].copy()], token_vectors(space, tokenizer.vocabulary, tokenizer, ids[::-3]))


def test_how_many_words_are_taken_at_a_time_changes_nothing(byte_bpe, monkeypatch):
    space, ids = word_matrix(SPACE, dim=3), np.arange(len(byte_bpe.vocabulary))
    whole = token_vectors(space, byte_bpe.vocabulary, byte_bpe, ids)
    monkeypatch.setattr("lexigraft.transplant.word_space._WORDS_AT_A_TIME", 2)
    assert torch.equal(whole, token_vectors(space, byte_bpe.vocabulary, byte_bpe, ids))


def test_words_that_are_no_vectors_poison_nothing(characters):
    space = word_matrix(["ab", "bc", "cd"], dim=2)
    space.rows[0], space.rows[1] = float("nan"), 1e30
    made = token_vectors(space, characters.vocabulary, characters, np.arange(len(characters.vocabulary)))
    assert torch.isfinite(made).all()
    named = {token.surface: row for token, row in zip(characters.vocabulary, made)}
    assert torch.equal(named[b"c"], space.rows[2])
    assert not named[b"a"].any()


def test_a_space_that_composes_is_asked_for_the_surface():
    known = {"run": torch.ones(2), "天": torch.full((2,), 2.0)}
    space = dataclasses.replace(word_matrix(["x"], dim=2), compose=known.get)
    tokens = (Token(b"run", False), Token(b" run", None), Token(b"<s>", None, "bos"), Token(b"\xff", None))
    vocabulary = Vocabulary((*tokens, Token("天".encode(), True), Token(b"zz", True), Token(b"", True)))
    made = token_vectors(space, vocabulary, None, np.arange(7))
    assert made[:, 0].tolist() == [1, 1, 0, 0, 2, 0, 0]


def test_a_vocabulary_of_words_is_looked_up():
    space = word_matrix(["a", "b", "<unk>"], dim=2)
    vocabulary = Vocabulary.of_words(["b", "c", "<unk>", "a"], {"<unk>": "unk"})
    made = token_vectors(space, vocabulary, None, np.arange(4))
    assert torch.equal(made, torch.stack([space.rows[1], torch.zeros(2), torch.zeros(2), space.rows[0]]))
