import os
from pathlib import Path

import jieba
import pytest
import tokenizers

from lexigraft.data.encoded import Encoded
from lexigraft.data.pretraining import words
from lexigraft.data.pretraining.words import encoded_documents
from lexigraft.vocab.targets import words as segmented
from lexigraft.vocab.tokenizer import Tokenizer


def groups(tokenizer: Tokenizer, encoded: Encoded, document: int) -> list[str]:
    """The tokens of a document, those of a word together."""
    units = encoded.units
    assert units is not None
    found: list[list[int]] = []
    for place in range(encoded.starts[document], encoded.starts[document + 1]):
        if units[place] >= 0:
            assert units[place] == len(found)
            found.append([])
        found[-1].append(int(encoded.ids[place]))
    return ["".join(tokenizer.vocabulary[token].text for token in word) for word in found]


TEXTS = ["  这家酒店的 服务态度很好，very good", "", "今天天气很好 "]


def test_characters_are_grouped_by_jieba_s_words(characters: Tokenizer) -> None:
    encoded = encoded_documents(characters, TEXTS, "zh")
    assert [encoded[i].tolist() for i in (0, 2)] == characters.encode([TEXTS[0], TEXTS[2]])
    assert len(encoded[1]) == 0
    expected = [[word for word in jieba.lcut(text) if not word.isspace()] for text in TEXTS]
    assert {"酒店", "very"} < set(expected[0])
    assert [groups(characters, encoded, i) for i in range(3)] == expected


@pytest.mark.parametrize("family", ["wordpiece", "byte_bpe", "tiktoken_bpe", "sp_bpe", "unigram"])
def test_pieces_of_any_family_are_grouped_by_the_words_of_the_text(
    family: str, tokenizers_by_family: dict[str, Tokenizer]
) -> None:
    tokenizer = tokenizers_by_family[family]
    encoded = encoded_documents(tokenizer, ["the restlessness were enjoyable", "a boring film"], "en")
    assert groups(tokenizer, encoded, 0) == ["the", "restlessness", "were", "enjoyable"]
    assert groups(tokenizer, encoded, 1) == ["a", "boring", "film"]
    assert len(encoded.ids) > 8  # some words are several pieces
    bare = encoded_documents(tokenizer, ["the restlessness were enjoyable", "a boring film"], "en", words=False)
    assert bare.units is None
    assert bare.ids.tolist() == encoded.ids.tolist()


def test_a_token_over_several_words_makes_one_of_them() -> None:
    entries = ["<unk>", "ab", ",c", "d", "e"]
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({t: i for i, t in enumerate(entries)}, "<unk>"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex("ab|,c|d|e"), "isolated")
    tokenizer = Tokenizer.of_backend(backend)
    # The words are "ab", ",", "cd" and "e", and one token holds the mark and the beginning of the next word.
    assert groups(tokenizer, encoded_documents(tokenizer, ["ab,cde ab"], "en"), 0) == ["ab", ",cde", "ab"]
    assert groups(tokenizer, encoded_documents(tokenizer, ["ab,cd ab"], "en"), 0) == ["ab", ",cd", "ab"]


def test_words_that_the_tokenizer_s_segmenter_cuts_are_the_words(words_segmented: Tokenizer) -> None:
    encoded = encoded_documents(words_segmented, ["这家酒店的服务"], "zh")
    assert groups(words_segmented, encoded, 0) == ["这家", "酒店", "的", "服务"]


@pytest.fixture
def words_segmented(corpus: list[str]) -> Tokenizer:
    return segmented(None, [*corpus, "这家酒店的服务"], "zh")


def test_many_documents_are_the_same_as_few(characters: Tokenizer, corpus: list[str], monkeypatch: pytest.MonkeyPatch):
    whole = encoded_documents(characters, corpus, "zh")
    monkeypatch.setattr(words, "CHUNK", 3)
    parts = encoded_documents(characters, corpus, "zh")
    assert whole.units is not None
    assert parts.units is not None
    assert whole.ids.tolist() == parts.ids.tolist()
    assert whole.units.tolist() == parts.units.tolist()
    assert whole.starts.tolist() == parts.starts.tolist()
    none = encoded_documents(characters, [], "zh")
    assert (len(none), len(none.ids)) == (0, 0)


def test_documents_are_encoded_once(
    characters: Tokenizer, corpus: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEXIGRAFT_CACHE", str(tmp_path))
    monkeypatch.setattr(words, "SMALL", 0)
    first = encoded_documents(characters, corpus, "zh")
    files = len(os.listdir(tmp_path / "encoded"))

    def never(*_: object) -> Encoded:
        raise AssertionError("encoded again")

    with monkeypatch.context() as blocked:
        blocked.setattr(words, "_encoded", never)
        again = encoded_documents(characters, corpus, "zh")
        for other in {"language": "en"}, {"language": "zh", "words": False}:
            with pytest.raises(AssertionError, match="encoded again"):
                encoded_documents(characters, corpus, **other)  # type: ignore[arg-type]
    assert first.units is not None
    assert again.units is not None
    assert (again.ids.tolist(), again.units.tolist()) == (first.ids.tolist(), first.units.tolist())
    encoded_documents(characters, corpus, "zh", words=False)
    assert len(os.listdir(tmp_path / "encoded")) > files
