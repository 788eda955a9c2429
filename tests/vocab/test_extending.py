"""Extended tokenizers: old ids stay, new tokens come out in texts, and texts without them are cut as before."""

import logging
import os

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import models, normalizers, pre_tokenizers

from lexigraft.vocab.alignment import align
from lexigraft.vocab.extending import extended
from lexigraft.vocab.tokenizer import Tokenizer
from lexigraft.vocab.vocabulary import Token
from tests.fixtures.tokenizers import FAMILIES
from tests.vocab.real import REAL, needs_real_vocabularies, real_tokenizer

READ = [family for family in FAMILIES if family not in ("characters", "words")]


def listed(source: Tokenizer, tmp_path, *lines: str) -> Tokenizer:
    path = tmp_path / "new.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return extended(source, [], "en", tokens=str(path))


def new_tokens(source: Tokenizer, made: Tokenizer) -> dict[Token, int]:
    """The tokens behind the source's last one (and behind `<pad>`), after checking that all others stayed."""
    count = len(source.vocabulary)
    assert made.vocabulary.tokens[:count] == source.vocabulary.tokens
    for content, i in source.backend.get_vocab().items():
        assert made.backend.token_to_id(content) == i
    assert align(source.vocabulary, made.vocabulary).source_id[:count].tolist() == list(range(count))
    return {made.vocabulary[i]: i for i in range(count, len(made.vocabulary)) if made.vocabulary[i].role is None}


@pytest.mark.parametrize("family", READ)
def test_listed_words_come_out_and_nothing_else_changes(tokenizers_by_family, corpus, family, tmp_path):
    source = tokenizers_by_family[family]
    made = listed(source, tmp_path, "receptionist", "酒店房间", "zebras")
    new = new_tokens(source, made)
    han = "酒店房间".encode()
    flag = family == "wordpiece"
    assert {Token(b"receptionist", True), Token(b"zebras", True), Token(han, flag)} <= set(new)

    texts = ["The receptionist saw zebras, two zebras!", "我们的酒店房间很好酒店房间", "a zebras"]
    before, after = source.encode(texts), made.encode(texts)
    assert [len(ids) for ids in after] < [len(ids) for ids in before]
    assert after[0].count(new[Token(b"zebras", True)]) == 2
    assert after[0].count(new[Token(b"receptionist", True)]) == 1
    assert after[1].count(new[Token(han, flag)]) == 2
    # The text can be told from the pieces as before.
    spelled = [b"".join(made.vocabulary[i].surface for i in ids if made.vocabulary[i].role is None) for ids in after]
    assert spelled == [
        b"".join(source.vocabulary[i].surface for i in ids if source.vocabulary[i].role is None) for ids in before
    ]
    assert made.encode(corpus) == source.encode(corpus)
    assert made.encode(["<s> "]) == source.encode(["<s> "])


@pytest.mark.parametrize("family", READ)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_useful_words_of_the_texts(tokenizers_by_family, corpus, family, language):
    source = tokenizers_by_family[family]
    texts = [f"{text} receptionist，高尔夫球场很好" for text in corpus]
    made = extended(source, texts, language, size=40, min_count=5)
    new = new_tokens(source, made)
    assert 1 <= len(new) <= 40
    assert Token(b"receptionist", True) in new
    # jieba's words, cut out of runs of Han characters.
    assert language == "en" or "高尔夫球场".encode() in {token.surface for token in new}
    before, after = source.encode(texts), made.encode(texts)
    assert all(len(a) < len(b) for a, b in zip(after, before))
    assert extended(source, texts, language, size=40, min_count=5).vocabulary == made.vocabulary


@pytest.mark.parametrize("family", READ)
def test_most_pieces_saved_first(tokenizers_by_family, family):
    source = tokenizers_by_family[family]
    texts = ["receptionist zebras", *["zebras"] * 3, "quokka"]
    one = extended(source, texts, "en", size=10, min_count=2)
    assert Token(b"zebras", True) in new_tokens(source, one)
    assert Token(b"receptionist", True) not in new_tokens(source, one)
    with pytest.raises(ValueError, match="no word that the source cuts into pieces occurs min_count=5 times"):
        extended(source, texts, "en", min_count=5)


def test_a_word_of_wordpiece_is_found_as_a_whole_word_only(wordpiece, tmp_path):
    made = listed(wordpiece, tmp_path, "zeb", "##zzz", "new-fangled")
    new = new_tokens(wordpiece, made)
    assert set(new) == {Token(b"zeb", True), Token(b"zzz", False), Token(b"new-fangled", True)}
    (zeb,) = made.encode(["a zeb"], None)[0][2:-1]
    assert zeb == new[Token(b"zeb", True)]
    assert made.encode(["zebra"]) == wordpiece.encode(["zebra"])
    assert new[Token(b"zzz", False)] in made.encode(["azzz"])[0]
    assert new[Token(b"new-fangled", True)] in made.encode(["a new-fangled film"])[0]


def test_words_are_folded_as_the_source_folds_them(tmp_path):
    entries = ["[PAD]", "[UNK]", "z", "##u", "##r"]
    backend = Backend(models.WordPiece({e: i for i, e in enumerate(entries)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    source = Tokenizer.of_backend(backend)
    made = listed(source, tmp_path, "Zür", "zur")
    assert set(new_tokens(source, made)) == {Token(b"zur", True)}
    assert made.encode(["ZÜR zuru"]) == [[5, 2, 3, 4, 3]]
    assert new_tokens(source, extended(source, ["Zür zur"], "en", min_count=2)) == {Token(b"zur", True): 5}


def test_merges_of_one_word_do_not_take_parts_from_another(tmp_path):
    backend = Backend(models.BPE({c: i for i, c in enumerate("abcd▁")}, []))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    source = Tokenizer.of_backend(backend)
    made = listed(source, tmp_path, "##bc", "##abc", "abcd", "##cd")
    ids = {content: made.backend.token_to_id(content) for content in ("bc", "abc", "▁abcd", "cd")}
    assert None not in ids.values()
    assert made.encode(["abcd"]) == [[ids["▁abcd"]]]
    assert made.encode(["aabc"])[0][-1] == ids["abc"]


def test_a_character_that_was_spelled_by_bytes_becomes_an_entry(sp_bpe, tmp_path):
    made = listed(sp_bpe, tmp_path, "☃☃")
    snowman = "☃".encode()
    assert set(new_tokens(sp_bpe, made)) == {Token(snowman, False), Token(snowman, True), Token(snowman * 2, True)}
    assert made.backend.decode(made.encode(["a ☃☃ b"])[0]) == "a ☃☃ b"
    assert len(made.encode(["a ☃☃ b"])[0]) < len(sp_bpe.encode(["a ☃☃ b"])[0])


def test_words_whole_need_no_merges_where_the_model_takes_them_so(tiktoken_bpe, byte_bpe, tmp_path):
    assert len(new_tokens(tiktoken_bpe, listed(tiktoken_bpe, tmp_path, "receptionist"))) == 1
    assert len(new_tokens(byte_bpe, listed(byte_bpe, tmp_path, "receptionist"))) > 1


def test_a_word_list_of_words(words, tmp_path):
    made = listed(words, tmp_path, "zebras")
    assert new_tokens(words, made) == {Token(b"zebras", True): len(words.vocabulary)}
    assert made.encode(["zebras"]) == [[len(words.vocabulary)]]


def test_saved_and_loaded(wordpiece, unigram, tmp_path, caplog):
    for source in (wordpiece, unigram):
        made = listed(source, tmp_path, "zebras", "##zzz")
        made.save(tmp_path / "saved")
        loaded = Tokenizer.load(tmp_path / "saved")
        assert loaded.vocabulary == made.vocabulary
        assert loaded.encode(["two zebras"]) == made.encode(["two zebras"])


def test_tokens_that_are_there_are_skipped_and_counted(words, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        made = listed(words, tmp_path, "film", "zebras", "the", "zebras")
    assert len(made.vocabulary) == len(words.vocabulary) + 1
    assert "2 of the listed tokens are in the source's vocabulary already: skipped" in caplog.text
    with pytest.raises(ValueError, match=r"there is no new token: .*new.txt names only tokens of the source"):
        listed(words, tmp_path, "film")


def test_mistakes(byte_bpe, tmp_path):
    with pytest.raises(ValueError, match=r"1 of the lines of .*new.txt would never be found .* first is 'New York'"):
        listed(byte_bpe, tmp_path, "zebras", "New York")
    with pytest.raises(ValueError, match="size=0 and min_count=5 are not possible"):
        extended(byte_bpe, ["a"], "en", size=0)
    with pytest.raises(ValueError, match="there are no texts to find words in"):
        extended(byte_bpe, [], "en")
    with pytest.raises(ValueError, match="needs a source with a tokenizer of its own"):
        extended(None, ["a"], "en")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        extended(byte_bpe, [], "en", tokens=str(tmp_path / "other.txt"))


# ---- real vocabularies, only where LEXIGRAFT_DATA holds them ----


@needs_real_vocabularies
@pytest.mark.parametrize("name", REAL)
def test_real_vocabularies(name, corpus, tmp_path):
    source = real_tokenizer(os.environ["LEXIGRAFT_DATA"], name)
    made = listed(source, tmp_path, "unfriendlier", "隔音效果")
    assert len(new_tokens(source, made)) >= 2
    texts = ["much unfriendlier", "房间的隔音效果不好"]
    assert all(len(a) < len(b) for a, b in zip(made.encode(texts), source.encode(texts)))
    others = [text for text in corpus if "隔音" not in text]
    if name not in ("gpt2", "cl100k"):  # whose new characters stand in other texts too
        assert made.encode(others) == source.encode(others)
