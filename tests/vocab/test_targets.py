"""Tokenizers made from texts or taken over: ids, determinism, errors."""

import os
import subprocess
import sys

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers

from lexigraft.vocab import targets
from lexigraft.vocab.alignment import align
from lexigraft.vocab.tokenizer import Tokenizer
from lexigraft.vocab.vocabulary import Token

MADE = {
    "wordpiece": (targets.train_wordpiece, {"size": 500}),
    "small_wordpiece": (targets.train_wordpiece, {"size": 60}),
    "bpe": (targets.train_bpe, {"size": 500}),
    "unigram": (targets.train_unigram, {"size": 600}),
    "characters": (targets.characters, {}),
    "words": (targets.words, {}),
}


def made(name: str, texts: list[str], language: str = "zh", **options: object) -> Tokenizer:
    factory, settings = MADE[name]
    return factory(source=None, texts=texts, language=language, **(settings | options))


def contents(tokenizer: Tokenizer, text: str) -> list[str]:
    return [tokenizer.backend.id_to_token(i) for i in tokenizer.encode([text])[0]]


@pytest.mark.parametrize("name", MADE)
def test_padding_comes_first_and_every_text_can_be_read(name, corpus):
    tokenizer = made(name, corpus)
    assert tokenizer.pad_id == 0
    assert len(tokenizer.vocabulary) <= MADE[name][1].get("size", 10_000)
    assert all(t.role != "unused" for t in tokenizer.vocabulary)
    assert all(len(ids) > 0 and 0 not in ids for ids in tokenizer.encode([*corpus, "☃ 龘", ""]))


@pytest.mark.parametrize("name", MADE)
def test_a_saved_target_is_the_same(name, corpus, tmp_path):
    tokenizer = made(name, corpus)
    tokenizer.save(tmp_path)
    again = Tokenizer.load(tmp_path)
    assert again.vocabulary == tokenizer.vocabulary
    assert again.encode(corpus) == tokenizer.encode(corpus)


def test_the_same_texts_give_the_same_ids_in_every_process(corpus, tmp_path):
    script = """
import sys
from tests.vocab.test_targets import MADE, made
texts = open(sys.argv[1], encoding="utf-8").read().splitlines()
for name in MADE:
    print(name, made(name, texts).backend.to_str())
"""
    path = tmp_path / "texts"
    path.write_text("\n".join(corpus), encoding="utf-8")
    printed = []
    for seed, threads in (("0", "1"), ("1", "4")):
        environment = os.environ | {"PYTHONHASHSEED": seed, "RAYON_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", script, str(path)], env=environment, capture_output=True, text=True, check=True
        )
        printed.append(done.stdout)
    assert printed[0] == printed[1]
    assert printed[0].count("\n") == len(MADE)


@pytest.mark.parametrize("name", [name for name in MADE if name != "unigram"])  # its sums depend on the order
def test_the_order_of_the_texts_does_not_matter(name, corpus):
    assert made(name, corpus).vocabulary == made(name, corpus[::-1]).vocabulary


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("texts", [[], ["", "  \n"]])
def test_no_texts(name, texts):
    with pytest.raises(ValueError, match="a vocabulary cannot be made of no texts"):
        made(name, texts)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("wordpiece", {"size": 5}, "size=5 is too small for WordPiece"),
        ("wordpiece", {"min_count": 0}, "min_count=0 is not possible"),
        ("bpe", {"size": 258}, "size=258 is too small for byte-level BPE: expected 259 or more"),
        ("unigram", {"size": 300}, "SentencePiece cannot learn size=300 entries from these 33 texts"),
        ("unigram", {"size": 0}, "SentencePiece cannot learn size=0"),
        ("characters", {"min_count": 10_000}, "nothing in the texts occurs min_count=10000 times"),
        ("words", {"limit": 0}, "limit=0 keeps no word"),
    ],
)
def test_impossible_options(name, options, message, corpus):
    with pytest.raises(ValueError, match=message):
        made(name, corpus, **options)


def test_wordpiece_isolates_marks_and_characters(corpus):
    tokenizer = made("wordpiece", corpus)
    assert contents(tokenizer, "the 中国, film") == ["[CLS]", "the", "中", "国", ",", "film", "[SEP]"]
    assert not tokenizer.vocabulary.unreachable
    lower = made("wordpiece", corpus, lowercase=True)
    assert not any(t.surface[:1].isupper() for t in lower.vocabulary if t.role is None)
    assert contents(lower, "THE Film") == ["[CLS]", "the", "film", "[SEP]"]


def test_wordpiece_with_too_little_room_keeps_the_most_frequent_characters(corpus):
    tokenizer = made("small_wordpiece", corpus)
    assert len(tokenizer.vocabulary) == 60
    assert contents(tokenizer, "the")[1:-1] == ["t", "##h", "##e"]
    assert contents(tokenizer, "推")[1:-1] == ["[UNK]"]


def test_bpe_spells_everything(corpus):
    tokenizer = made("bpe", corpus)
    found = contents(tokenizer, "the ☃")
    assert (found[0], found[1], found[-1]) == ("<s>", "Ġthe", "</s>")
    assert tokenizer.vocabulary[tokenizer.backend.token_to_id("Ġthe")] == Token(b"the", True)


def test_unigram_folds_width_and_spells_everything(corpus):
    tokenizer = made("unigram", corpus)
    assert contents(tokenizer, "ｔｈｅ  film\t☃") == contents(tokenizer, "the film ☃")
    assert contents(tokenizer, "☃")[-4:] == ["<0xE2>", "<0x98>", "<0x83>", "</s>"]
    assert sum(t.byte_fallback for t in tokenizer.vocabulary) == 256
    lower = made("unigram", corpus, lowercase=True)
    assert contents(lower, "THE") == contents(lower, "the")


def test_unigram_without_sentencepiece(corpus, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(ImportError, match=r"pip install 'lexigraft\[sentencepiece\]'"):
        made("unigram", corpus)


def test_characters_by_frequency():
    tokenizer = made("characters", ["ba b", "B中"])
    assert [t.surface.decode() for t in tokenizer.vocabulary] == ["<pad>", "<unk>", "b", "B", "a", "中"]
    assert tokenizer.vocabulary[2].starts_word is None
    assert contents(tokenizer, "a\n 中x") == ["a", "中", "<unk>"]
    lower = made("characters", ["ba b", "B中"], lowercase=True, min_count=2)
    assert [t.surface for t in lower.vocabulary][2:] == [b"b"]
    assert contents(lower, "B") == ["b"]


@pytest.mark.parametrize("make", [targets.characters, targets.words])
def test_characters_and_words_with_the_special_tokens_of_bert(make):
    tokenizer = make(None, ["好 的 好", "好"], "zh", special="bert")
    assert tokenizer.vocabulary.roles == {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}
    assert tokenizer.encode(["的 好 猫"]) == [[2, 6, 5, 1, 3]]


def test_chinese_words():
    tokenizer = made("words", ["我们喜欢北京", "我们喜欢 Film"], lowercase=True)
    assert tokenizer.segmenter == "jieba"
    assert [t.surface.decode() for t in tokenizer.vocabulary] == ["<pad>", "<unk>", "喜欢", "我们", "film", "北京"]
    assert contents(tokenizer, "我们喜欢FILM") == ["我们", "喜欢", "film"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("it 's a well-made film , but i do n't care", "it 's a well-made film , but i do n't care"),
        ("It's Tom's film, I don't care!", "It 's Tom 's film , I do n't care !"),
        ("U.S. prices rose 3.5% to 1,000 ...", "U.S. prices rose 3.5 % to 1,000 ..."),
        ("-lrb- `` naïve '' -rrb- --", "-lrb- `` naïve '' -rrb- --"),
        ("O'Brien CAN'T 'quote'", "O'Brien CA N'T ' quote '"),
    ],
)
def test_english_words_are_those_of_the_penn_treebank(text, expected):
    tokenizer = made("words", [text], language="en")
    assert tokenizer.segmenter is None
    assert contents(tokenizer, text) == expected.split()
    assert "<unk>" not in contents(tokenizer, expected)


def test_the_most_frequent_words_are_kept():
    tokenizer = made("words", ["a b c a b a <pad>"], language="en", limit=2)
    assert [t.surface for t in tokenizer.vocabulary] == [b"<pad>", b"<unk>", b"a", b"b"]
    assert len(made("words", ["a b c a b a"], language="en", min_count=3).vocabulary) == 3


def test_the_sources_own_tokenizer(wordpiece):
    assert targets.source_tokenizer(source=wordpiece, texts=[], language="en") is wordpiece
    with pytest.raises(ValueError, match="tokenizer=source needs a source with a tokenizer of its own"):
        targets.source_tokenizer(source=None, texts=[], language="en")


def test_a_source_without_padding_gets_it_at_the_end(byte_bpe):
    target = targets.source_tokenizer(source=byte_bpe, texts=[], language="en")
    assert target.pad_id == len(byte_bpe.vocabulary)
    assert target.vocabulary.tokens[:-1] == byte_bpe.vocabulary.tokens
    assert target.vocabulary.roles == byte_bpe.vocabulary.roles | {"pad": target.pad_id}
    assert target.encode(["the film"]) == byte_bpe.encode(["the film"])
    found = align(byte_bpe.vocabulary, target.vocabulary)
    assert found.source_id.tolist() == [*range(len(byte_bpe.vocabulary)), -1]
    assert "pad" not in byte_bpe.vocabulary.roles  # the source itself stays as it was


def test_padding_is_not_put_onto_a_taken_id():
    backend = Backend(models.BPE({"a": 0, "b": 2}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel()
    with pytest.raises(ValueError, match="would give it id 2, which is taken"):
        targets.source_tokenizer(source=Tokenizer.of_backend(backend), texts=[], language="en")


def test_a_tokenizer_from_a_folder_or_a_file(sp_bpe, tmp_path):
    sp_bpe.save(tmp_path)
    for name in (tmp_path, tmp_path / "tokenizer.json"):
        target = targets.tokenizer_from(source=None, texts=[], language="en", name=str(name))
        assert target.vocabulary.tokens[:-1] == sp_bpe.vocabulary.tokens
        assert target.pad_id == len(sp_bpe.vocabulary)


def test_a_tokenizer_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        targets.tokenizer_from(source=None, texts=[], language="en", name=str(tmp_path / "missing"))
