"""Surfaces cut into pieces by the tokenizer that they are moved from."""

import pickle

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import models, normalizers, pre_tokenizers

from lexigraft.vocab.reading import read_vocabulary
from lexigraft.vocab.vocabulary import Token, Vocabulary


def contents(tokenizer, token: Token) -> list[str]:
    return [tokenizer.backend.id_to_token(i) for i in tokenizer.vocabulary.segment(token)]


def spelled(tokenizer, token: Token) -> bytes:
    return b"".join(
        (b" " if tokenizer.vocabulary[i].starts_word else b"") + tokenizer.vocabulary[i].surface
        for i in tokenizer.vocabulary.segment(token)
    )


@pytest.mark.parametrize("family", ["byte_bpe", "tiktoken_bpe", "sp_bpe", "unigram"])
@pytest.mark.parametrize(
    "token",
    [
        Token(b"moving", True),
        Token(b"moving", False),
        Token("Zürich".encode(), True),
        Token("☃中文".encode(), False),
        Token(b"\xfc", False),
        Token(b"\xe4\xb8", False),
        Token(b"", True),
        Token(b"  ", True),
        Token(b"\n", False),
        Token(b"a b", False),
        Token(b"!?x,", False),
        Token(b"don't", True),
    ],
)
def test_pieces_spell_the_surface_and_its_boundary(tokenizers_by_family, family, token):
    expected = (b" " if token.starts_word else b"") + token.surface
    assert spelled(tokenizers_by_family[family], token) == expected


@pytest.mark.parametrize("family", ["byte_bpe", "tiktoken_bpe", "sp_bpe", "unigram", "wordpiece"])
def test_every_ordinary_token_can_be_spelled_by_its_own_tokenizer(tokenizers_by_family, family):
    vocabulary = tokenizers_by_family[family].vocabulary
    empty = [t for t in vocabulary if t.role is None and not vocabulary.segment(t)]
    # GPT-2's own alphabet holds every byte; NFKC takes nothing away that the byte entries could not spell.
    assert empty == []


def test_special_tokens_and_unknown_parts_give_nothing(tokenizers_by_family):
    for tokenizer in tokenizers_by_family.values():
        vocabulary = tokenizer.vocabulary
        assert all(vocabulary.segment(t) == [] for t in vocabulary if t.role is not None)
    for family in ("wordpiece", "characters", "words"):
        vocabulary = tokenizers_by_family[family].vocabulary
        assert vocabulary.segment(Token("☃".encode(), True)) == []
        assert vocabulary.segment(Token("☃".encode(), False)) == []
        assert vocabulary.segment(Token(b"\xfc", False)) == []


def test_wordpiece_continues_words_but_not_marks_and_characters(wordpiece):
    assert contents(wordpiece, Token(b"the", True)) == ["the"]
    assert all(p.startswith("##") for p in contents(wordpiece, Token(b"sing", False)))
    assert contents(wordpiece, Token("中国".encode(), False)) == ["中", "国"]
    assert contents(wordpiece, Token(b",", False)) == [","]
    mixed = contents(wordpiece, Token(b"s, the", False))
    assert mixed[0].startswith("##")
    assert mixed[1:] == [",", "the"]
    assert contents(wordpiece, Token("e☃".encode(), False)) == []


def test_a_normalizer_that_takes_the_word_away(wordpiece):
    assert contents(wordpiece, Token(b"\n", False)) == []


def test_chinese_surfaces_get_no_boundary(byte_bpe, sp_bpe):
    assert contents(byte_bpe, Token("中".encode(), True)) == ["ä¸Ń"]
    assert contents(sp_bpe, Token("中".encode(), True)) == ["中"]


def test_characters_and_words(characters, words):
    assert contents(characters, Token(b"film", True)) == list("film")
    assert contents(words, Token(b"film", None)) == ["film"]
    assert contents(words, Token(b"film music", True)) == ["film", "music"]


def test_a_bpe_without_unk_never_drops_characters():
    backend = Backend(models.BPE({"a": 0, "▁a": 1, "▁": 2}, [("▁", "a")]))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    segment = read_vocabulary(backend, {}).segment
    assert segment(Token(b"a", True)) == [1]
    assert segment(Token(b"xa", True)) == []
    assert segment(Token(b"ax", False)) == []
    assert segment(Token(b"\xfc", False)) == []  # neither a byte alphabet nor byte entries


def test_a_boundary_that_only_the_normalizer_makes():
    entries = {"▁": 0, "a": 1, "▁a": 2, "<unk>": 3}
    backend = Backend(models.BPE(entries, [("▁", "a")], unk_token="<unk>"))
    backend.normalizer = normalizers.Replace(" ", "▁")  # Gemma
    segment = read_vocabulary(backend, {"unk": "<unk>"}).segment
    assert segment(Token(b"a", True)) == [2]
    assert segment(Token(b"a", False)) == [1]
    assert segment(Token(b"", True)) == [0]


def test_incomplete_byte_entries_spell_nothing():
    backend = Backend(models.BPE({"▁": 0, "<0xE4>": 1}, [], byte_fallback=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    segment = read_vocabulary(backend, {}).segment
    assert segment(Token(b"\xe4", False)) == [1]
    assert segment(Token(b"\xe4\xb8", False)) == []


@pytest.mark.parametrize(
    "family", ["byte_bpe", "tiktoken_bpe", "sp_bpe", "unigram", "wordpiece", "characters", "words"]
)
def test_all_at_once_is_each_by_itself(tokenizers_by_family, family):
    vocabulary = tokenizers_by_family[family].vocabulary
    others = ("byte_bpe", "wordpiece", "sp_bpe")
    tokens = [token for other in others for token in list(tokenizers_by_family[other].vocabulary)[::7]]
    assert vocabulary.segment_all(tokens) == [vocabulary.segment(token) for token in tokens]
    assert vocabulary.segment_all([]) == []


def test_vocabularies_with_another_way_to_cut_or_none():
    tokens = [Token(b"a", True), Token(b"b", True)]
    assert Vocabulary((), segment=lambda token: [len(token.surface)]).segment_all(tokens) == [[1], [1]]
    assert Vocabulary(()).segment_all(tokens) == [[], []]


@pytest.mark.parametrize(
    "model",
    [
        models.WordLevel({"ab": 0}, unk_token="<none>"),
        models.WordPiece({"ab": 0, "##b": 1}, unk_token="[UNK]"),
        models.Unigram([("ab", -1.0), ("b", -2.0)], unk_id=None, byte_fallback=False),
        models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]),
    ],
)
def test_a_model_without_an_unknown_token_does_not_fail(model):
    segment = read_vocabulary(Backend(model), {}).segment
    assert segment(Token(b"ab", False)) or segment(Token(b"ab", True)) or segment(Token(b"ab", None))
    assert segment(Token(b"xb", None)) == segment(Token(b"x", True)) == segment(Token(b"x", False)) == []


def test_pieces_survive_pickling(byte_bpe):
    segment = pickle.loads(pickle.dumps(byte_bpe.vocabulary.segment))
    assert segment(Token(b"moving", True)) == byte_bpe.vocabulary.segment(Token(b"moving", True))
