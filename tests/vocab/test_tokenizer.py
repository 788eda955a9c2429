"""Texts to ids, and folders that `load` and transformers both open."""

import io
import json

import pytest
import sentencepiece
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers
from transformers import AutoTokenizer

from lexigraft.vocab.tokenizer import Tokenizer, jieba_words
from tests.fixtures.tokenizers import FAMILIES

TEXTS = ["the room was small", "这部电影很无聊，the film", "Zürich ☃"]


def tokens(tokenizer: Tokenizer, text: str, max_tokens: int | None = None) -> list[str]:
    return [tokenizer.backend.id_to_token(i) for i in tokenizer.encode([text], max_tokens)[0]]


def test_special_tokens_are_included_and_truncation_keeps_the_closing_one(wordpiece):
    whole = tokens(wordpiece, "the room was small")
    assert (whole[0], whole[-1]) == ("[CLS]", "[SEP]")
    assert tokens(wordpiece, "the room was small", 4) == [*whole[:3], "[SEP]"]
    assert tokens(wordpiece, "the room was small") == whole  # no limit is left behind
    assert wordpiece.backend.truncation is None


def test_no_room_beside_the_special_tokens(wordpiece, characters):
    with pytest.raises(ValueError, match="max_tokens is 2, but this tokenizer puts 2 special tokens .* 3 or more"):
        wordpiece.encode(["a"], max_tokens=2)
    assert len(characters.encode(["film"], max_tokens=1)[0]) == 1
    with pytest.raises(ValueError, match="give 1 or more"):
        characters.encode(["film"], max_tokens=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_text_is_empty(tokenizers_by_family, family):
    tokenizer = tokenizers_by_family[family]
    assert tokenizer.encode([]) == []
    assert all(len(ids) >= 1 for ids in tokenizer.encode(["", " ", "\n", "a"], max_tokens=8))


def test_what_stands_in_for_an_empty_text(characters, byte_bpe):
    assert tokens(characters, "") == ["<unk>"]
    assert tokens(byte_bpe, "") == ["<|endoftext|>"]
    bare = Backend(models.WordLevel({"<pad>": 0, "a": 1}, unk_token="<none>"))
    assert Tokenizer.of_backend(bare).encode([""]) == [[1]]


def test_stored_padding_and_truncation_are_not_obeyed(wordpiece):
    backend = Backend.from_str(wordpiece.backend.to_str())
    backend.enable_padding(length=50)
    backend.enable_truncation(3)
    stored = Tokenizer.of_backend(backend)
    assert stored.encode(TEXTS) == wordpiece.encode(TEXTS)
    assert stored.encode(TEXTS, 5) == wordpiece.encode(TEXTS, 5)
    assert backend.truncation["max_length"] == 3


def test_padding_id(wordpiece, byte_bpe):
    assert wordpiece.pad_id == wordpiece.backend.token_to_id("[PAD]")
    with pytest.raises(ValueError, match="no padding token: choose tokenizer=source"):
        _ = byte_bpe.pad_id


@pytest.mark.parametrize("family", FAMILIES)
def test_save_and_load(tokenizers_by_family, family, tmp_path):
    tokenizer = tokenizers_by_family[family]
    tokenizer.save(tmp_path / "new" / "folder")
    again = Tokenizer.load(tmp_path / "new" / "folder")
    assert again.vocabulary == tokenizer.vocabulary
    assert again.segmenter is None
    assert again.encode(TEXTS) == tokenizer.encode(TEXTS)
    opened = AutoTokenizer.from_pretrained(str(tmp_path / "new" / "folder"))
    assert [opened(text).input_ids for text in TEXTS] == tokenizer.encode(TEXTS)
    for role in ("pad", "unk", "cls", "sep", "bos", "eos", "mask"):
        assert getattr(opened, f"{role}_token_id") == tokenizer.vocabulary.roles.get(role)


def test_folders_that_transformers_writes(wordpiece, tmp_path):
    wordpiece.save(tmp_path / "ours")
    AutoTokenizer.from_pretrained(str(tmp_path / "ours")).save_pretrained(str(tmp_path / "theirs"))
    assert Tokenizer.load(tmp_path / "theirs").vocabulary == wordpiece.vocabulary


def test_a_bare_file(byte_bpe, tmp_path):
    byte_bpe.save(tmp_path)
    (tmp_path / "tokenizer.json").rename(tmp_path / "mine.json")
    assert Tokenizer.load(tmp_path / "mine.json").vocabulary == byte_bpe.vocabulary


def test_jieba_cuts_before_the_backend(tmp_path):
    entries = {"<unk>": 0, "电影": 1, "很": 2, "好看": 3, "film": 4}
    backend = Backend(models.WordLevel(entries, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = Tokenizer.of_backend(backend, segmenter="jieba")
    assert tokenizer.encode(["电影很好看 film", ""]) == [[1, 2, 3, 4], [0]]
    assert tokenizer.encode(["电影很好看"], max_tokens=2) == [[1, 2]]
    tokenizer.save(tmp_path)
    assert Tokenizer.load(tmp_path).segmenter == "jieba"
    assert Tokenizer.load(tmp_path).encode(["电影很好看"]) == [[1, 2, 3]]


def test_jieba_words_drop_white_space():
    assert jieba_words("我们 在北京\u3000。\n") == ["我们", "在", "北京", "。"]


def test_a_tokenizer_that_cannot_encode_is_a_sentence():
    broken = Tokenizer.of_backend(Backend(models.WordLevel({"a": 0}, unk_token="<unk>")))
    with pytest.raises(ValueError, match=r"cannot encode the texts, choose or train another: .*Missing \[UNK\]"):
        broken.encode(["b"])


def test_an_unknown_segmenter(words):
    with pytest.raises(ValueError, match="unknown word segmenter 'mecab'"):
        Tokenizer(words.backend, words.vocabulary, segmenter="mecab")


def test_older_files_are_converted(tmp_path):
    entries = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "film", "##s", "中"]
    (tmp_path / "vocab.txt").write_text("\n".join(entries) + "\n", encoding="utf-8")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    tokenizer = Tokenizer.load(tmp_path)
    assert tokenizer.encode(["the films 中"]) == [[2, 5, 6, 7, 8, 3]]
    assert tokenizer.vocabulary.roles == {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}


def test_a_sentencepiece_model_is_converted(corpus, tmp_path):
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus), model_writer=written, vocab_size=300, hard_vocab_limit=False,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2,
    )  # fmt: skip
    (tmp_path / "spiece.model").write_bytes(written.getvalue())
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "t5"}))
    tokenizer = Tokenizer.load(tmp_path)
    expected = sentencepiece.SentencePieceProcessor(model_proto=written.getvalue()).encode("the film")
    assert tokenizer.encode(["the film"])[0][: len(expected)] == expected
    assert {"pad", "eos", "unk"} <= tokenizer.vocabulary.roles.keys()


def test_a_sentencepiece_model_without_the_library(tmp_path, monkeypatch):
    (tmp_path / "spiece.model").write_bytes(b"")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'lexigraft\[sentencepiece\]'"):
        Tokenizer.load(tmp_path)


def test_nothing_to_load(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no tokenizer: expected tokenizer.json"):
        Tokenizer.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no tokenizer at"):
        Tokenizer.load(tmp_path / "missing")


def test_files_that_are_no_tokenizer(tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"a": 1}')
    with pytest.raises(ValueError, match=r"tokenizer.json is no tokenizer that the `tokenizers` library can read"):
        Tokenizer.load(tmp_path)
    old = tmp_path / "old"
    old.mkdir()
    (old / "vocab.json").write_text("{}")
    with pytest.raises(ValueError, match="could not convert the tokenizer files of .*config.json"):
        Tokenizer.load(old)
