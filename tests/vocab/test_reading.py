"""Vocabularies read from backends of every family."""

import pytest
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Backend

from lexigraft.vocab.reading import read_vocabulary
from lexigraft.vocab.vocabulary import Token


def by_content(tokenizer, content: str) -> Token:
    return tokenizer.vocabulary[tokenizer.backend.token_to_id(content)]


@pytest.mark.parametrize(
    ("family", "content", "token"),
    [
        ("wordpiece", "the", Token(b"the", True)),
        ("wordpiece", "##e", Token(b"e", False)),
        ("wordpiece", ",", Token(b",", None)),
        ("wordpiece", "中", Token("中".encode(), None)),
        ("wordpiece", "[SEP]", Token(b"[SEP]", None, "sep")),
        ("byte_bpe", "Ġthe", Token(b"the", True)),
        ("byte_bpe", "Ġ", Token(b"", True)),
        ("byte_bpe", "ü", Token(b"\xfc", False)),
        ("byte_bpe", "ä¸Ń", Token("中".encode(), False)),
        ("sp_bpe", "▁the", Token(b"the", True)),
        ("sp_bpe", "ü", Token("ü".encode(), False)),
        ("sp_bpe", "<0xFC>", Token(b"\xfc", False, byte_fallback=True)),
        ("unigram", "▁", Token(b"", True)),
        ("unigram", "</s>", Token(b"</s>", None, "eos")),
        ("characters", "中", Token("中".encode(), None)),
        ("characters", "<pad>", Token(b"<pad>", None, "pad")),
        ("words", "n't", Token(b"n't", True)),
    ],
)
def test_tokens_of_each_family(tokenizers_by_family, family, content, token):
    assert by_content(tokenizers_by_family[family], content) == token


def test_holes_added_and_special_tokens():
    backend = Backend(models.BPE({"Ġa": 0, "b": 7}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel()
    backend.add_tokens(["  two"])
    backend.add_special_tokens([AddedToken("<extra>"), AddedToken("<end>")])
    vocabulary = read_vocabulary(backend, {"eos": "<end>", "bos": "<end>"})
    added, extra, end = (backend.token_to_id(t) for t in ("  two", "<extra>", "<end>"))
    assert vocabulary[0] == Token(b"a", True)
    assert vocabulary[7] == Token(b"b", False)
    assert vocabulary[added] == Token(b" two", True)
    assert vocabulary[extra].role == "special:<extra>"
    assert vocabulary[end].role == "eos"
    assert vocabulary.roles["bos"] == vocabulary.roles["eos"] == end
    assert len(vocabulary) == max(backend.get_vocab().values()) + 1
    holes = set(range(len(vocabulary))) - set(backend.get_vocab().values())
    assert holes
    assert all(vocabulary[i].role == "unused" for i in holes)


def test_an_unknown_role_or_token_is_refused(wordpiece):
    with pytest.raises(ValueError, match=r"'\[PAD\]' is no role"):
        read_vocabulary(wordpiece.backend, {"[PAD]": "pad"})
    with pytest.raises(ValueError, match="no token '<nix>', which was named as its pad token"):
        read_vocabulary(wordpiece.backend, {"pad": "<nix>"})


def test_bert_entries_that_are_never_produced():
    entries = {"[UNK]": 0, "中": 1, "##中": 2, "##e": 3, ",": 4, "##,": 5, "e": 6, "é": 7, "##é": 8}
    entries |= {"...": 9, "##e.": 10, "10:00": 11, "[unused1]": 12, "a1": 13}
    backend = Backend(models.WordPiece(entries, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=False)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    vocabulary = read_vocabulary(backend, {"unk": "[UNK]"})
    assert vocabulary.unreachable == {2, 5, 9, 10, 11, 12}
    assert [t.starts_word for t in vocabulary][1:9] == [None, False, False, None, False, True, True, False]


def test_metaspace_inside_a_sequence_and_custom_marks():
    backend = Backend(models.Unigram([("<unk>", 0.0), ("_a", -1.0), ("a", -1.0)], unk_id=0, byte_fallback=False))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="_")]
    )
    assert [t.starts_word for t in read_vocabulary(backend, {})] == [False, True, False]


def test_the_decoder_alone_may_tell_the_alphabet():
    backend = Backend(models.BPE({"▁a": 0, "a": 1, "<0x41>": 2}, []))
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    assert list(read_vocabulary(backend, {})) == [
        Token(b"a", True), Token(b"a", False), Token(b"A", False, byte_fallback=True)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("normalizer", "text", "folded"),
    [
        (normalizers.BertNormalizer(lowercase=True), "Zürich中", "zurich中"),
        (normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), "a b", "a b"),
        (normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), "▁")]), "ﬁ  x", "fi  x"),
        (normalizers.Sequence([normalizers.Replace("``", '"'), normalizers.Lowercase()]), "``A", '"a'),
        (normalizers.Strip(), " a ", " a "),
    ],
)
def test_normalize_folds_letters_and_leaves_boundaries(normalizer, text, folded):
    backend = Backend(models.Unigram([("<unk>", 0.0), ("▁a", -1.0)], unk_id=0, byte_fallback=False))
    backend.normalizer = normalizer
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    normalize = read_vocabulary(backend, {}).normalize
    assert (text if normalize is None else normalize(text)) == folded


def test_without_folding_there_is_no_normalize(sp_bpe, byte_bpe, unigram):
    assert sp_bpe.vocabulary.normalize is None
    assert byte_bpe.vocabulary.normalize is None
    assert unigram.vocabulary.normalize("，") == ","
