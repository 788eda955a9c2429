"""What words in a list of vectors imply: roles and word boundaries."""

import numpy as np
import pytest
import torch

from lexigraft.embeddings.static import static_matrix, word_tokens
from lexigraft.vocab.alignment import align
from lexigraft.vocab.vocabulary import Vocabulary


def flags(words: list[str]) -> dict[str, bool | None]:
    return {t.surface.decode(): t.starts_word for t in word_tokens(words, {})}


def roles(words: list[str]) -> dict[str, str | None]:
    return {t.surface.decode(): t.role for t in word_tokens(words, {})}


def test_words_start_words_and_characters_do_not_tell() -> None:
    words = ["the", "of", "to", "and", "don't", "it", "中国", "한국"]
    characters = {"a": True, "I": True, "7": True, "é": True, ",": None, "中": None, "の": None, "，": None}
    assert flags(words + list(characters)) == dict.fromkeys(words, True) | characters


def test_in_a_character_vocabulary_no_character_tells() -> None:
    assert flags(["a", "7", "中", "国", "ab"]) == {"a": None, "7": None, "中": None, "国": None, "ab": True}


def test_spellings_of_special_tokens() -> None:
    assert roles(["<unk>", "<PAD>", "</s>", "<s>", "[CLS]", "[SEP]", "[MASK]", "<user>", "<>", "the"]) == {
        "<unk>": "unk", "<PAD>": "pad", "</s>": "eos", "<s>": "bos", "[CLS]": "cls", "[SEP]": "sep", "[MASK]": "mask",
        "<user>": None, "<>": None, "the": None,
    }  # fmt: skip


def test_bare_spellings_are_words_where_their_lower_case_is() -> None:
    assert roles(["UNK", "PAD", "OOV2"]) == {"UNK": "unk", "PAD": "pad", "OOV2": None}
    assert roles(["PAD", "pad", "OOV"]) == {"PAD": None, "pad": None, "OOV": "unk"}


def test_a_role_is_played_once_and_may_be_given() -> None:
    tokens = word_tokens(["<unk>", "UNK", "OOV_NUM"], {"OOV_NUM": "special:OOV_NUM"})
    assert [t.role for t in tokens] == ["unk", "special:UNK", "special:OOV_NUM"]
    assert all(t.starts_word is None for t in tokens)


def test_rows_are_single_precision_at_most_and_floating_point() -> None:
    words = [b"a", b"b"]
    assert static_matrix("test", "f", words, np.eye(2)).rows.dtype == torch.float32
    assert static_matrix("test", "f", words, np.eye(2, dtype=np.float16)).rows.dtype == torch.float16
    with pytest.raises(ValueError, match="f holds rows of type int64: floating-point numbers are expected"):
        static_matrix("test", "f", words, np.eye(2, dtype=np.int64))


def test_a_vocabulary_without_capitals_folds_case_and_another_does_not() -> None:
    lower = static_matrix("test", "f", [b"the", b"film"], np.eye(2)).vocabulary
    cased = static_matrix("test", "f", [b"the", b"Film"], np.eye(2)).vocabulary
    target = Vocabulary.of_words(["The", "FILM"])
    assert align(lower, target).source_id.tolist() == [0, 1]
    assert align(cased, target).source_id.tolist() == [-1, -1]


def test_origin_is_plain_and_tells_rows_apart() -> None:
    first = static_matrix("test", "folder/f.txt", [b"a", b"b"], np.eye(2), extra="x").origin
    other = static_matrix("test", "folder/f.txt", [b"a", b"b"], 2 * np.eye(2)).origin
    assert {k: v for k, v in first.items() if k not in ("sha256", "repairs")} == {
        "reader": "test", "name": "f.txt", "path": "folder/f.txt", "extra": "x",
        "rows": 2, "dim": 2, "dtype": "float32",
    }  # fmt: skip
    assert first["sha256"] != other["sha256"]
    assert len(first["sha256"]) == 64
