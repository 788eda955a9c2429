"""Trimmed tokenizers: the same pieces of every text whose tokens are kept, and no text that cannot be read."""

import json
import os

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Backend

from lexigraft.vocab.tokenizer import Tokenizer
from lexigraft.vocab.trimming import trimmed
from tests.fixtures.tokenizers import FAMILIES
from tests.vocab.real import REAL, needs_real_vocabularies, real_tokenizer


def old_ids(full: Tokenizer, small: Tokenizer) -> list[int]:
    """Id in the full tokenizer of each id of the small one; both are told apart by their contents alone."""
    ids = [full.backend.token_to_id(small.backend.id_to_token(i)) for i in range(len(small.vocabulary))]
    assert ids[: len(full.vocabulary)] == sorted(i for i in ids if i is not None)  # in their old order
    return ids


def check(full: Tokenizer, texts: list[str], others: list[str]) -> Tokenizer:
    """Trim to `texts`: they are cut as before, and so is each other text if all its tokens are kept and known."""
    small = trimmed(full, texts, "en")
    old = old_ids(full, small)
    assert [[old[i] for i in ids] for ids in small.encode(texts)] == full.encode(texts)
    unknown = full.vocabulary.roles.get("unk")
    for ids, kept in zip(full.encode(others), small.encode(others)):
        if set(ids) <= set(old) - {unknown}:
            assert [old[i] for i in kept] == ids
    return small


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_texts_of_kept_tokens_are_cut_as_before(tokenizers_by_family, corpus, family, data):
    full = with_padding(tokenizers_by_family[family])
    line = st.sampled_from(corpus)
    part = st.builds(lambda text, i, j: text[i : i + j], line, st.integers(0, 40), st.integers(1, 30))
    mixed = st.lists(part | st.sampled_from([" ", "☃", "ü", "<s>", "\n"]), min_size=1, max_size=4).map("".join)
    texts = data.draw(st.lists(line | mixed, min_size=1, max_size=4).filter(lambda lines: "".join(lines).strip()))
    others = data.draw(st.lists(mixed, max_size=20)) + [word for text in texts for word in text.split()]
    check(full, texts, others)


def with_padding(tokenizer: Tokenizer) -> Tokenizer:
    """So that the trimmed tokenizer has no token that the full one lacks."""
    if "pad" in tokenizer.vocabulary.roles:
        return tokenizer
    backend = Backend.from_str(tokenizer.backend.to_str())
    backend.add_special_tokens(["<pad>"])
    return Tokenizer.of_backend(backend)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=30))
@example(text="<pad>")
def test_every_text_can_still_be_read(tokenizers_by_family, family, text):
    small = SMALL.setdefault(family, trimmed(tokenizers_by_family[family], ["the film"], "en"))
    ids = small.encode([text])[0]
    assert ids
    if family in ("byte_bpe", "tiktoken_bpe"):
        named = {small.backend.token_to_id(content) for content in small.role_contents().values() if content in text}
        assert named <= set(ids)
        assert named or small.backend.decode(ids) == text or text.strip() != text  # which leaves out what is named


SMALL: dict[str, Tokenizer] = {}


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_left_out_is_gone_and_roles_stay(tokenizers_by_family, corpus, family):
    full = with_padding(tokenizers_by_family[family])
    small = trimmed(full, corpus[:2], "en")
    kept = set(old_ids(full, small))
    assert set(small.role_contents().items()) == set(full.role_contents().items())
    assert len(small.vocabulary) < len(full.vocabulary)
    used = {i for ids in full.encode(corpus[:2]) for i in ids}
    assert used <= kept
    needed = {i for i, t in enumerate(full.vocabulary) if t.role is None and not t.byte_fallback and len(t.surface) > 1}
    # Only WordPiece's, words' and Unigram's pieces have nothing that they are merged from.
    extra = {i for i in (kept - used) & needed if "bpe" not in family}
    assert len(extra) <= 1


def test_min_count(words):
    small = trimmed(words, ["a film a film a", "the film"], "en", min_count=3)
    assert [t.surface for t in small.vocabulary] == [b"<pad>", b"<unk>", b"a", b"film"]


def test_merged_parts_stay_although_no_text_uses_them(byte_bpe):
    small = trimmed(byte_bpe, ["moving"], "en")
    assert len(small.encode(["moving"])[0]) == len(byte_bpe.encode(["moving"])[0])


def test_words_that_were_unknown_stay_unknown():
    entries = ["[UNK]", "[PAD]", "a", "ab", "##c", "b"]
    backend = Backend(models.WordPiece({e: i for i, e in enumerate(entries)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    full = Tokenizer.of_backend(backend)
    assert full.encode(["abd acc b"]) == [[0, 2, 4, 4, 5]]
    # Without `ab`, `abcc` would still be unknown, but `abd` might be read as `a` and more.
    check(full, ["abd acc"], ["ab", "a b"])
    check(full, ["abc"], ["ab"])
    small = trimmed(full, ["abd"], "en")
    assert "ab" in small.backend.get_vocab()


def test_an_added_token_stays(wordpiece):
    backend = Backend.from_str(wordpiece.backend.to_str())
    backend.add_tokens([AddedToken("New York", single_word=True)])
    full = Tokenizer.of_backend(backend)
    small = check(full, ["the film"], ["the New York film", "the film"])
    assert small.backend.token_to_id("New York") == len(small.vocabulary) - 1


def test_the_score_of_the_unknown_token_stays():
    # It is 10 less than the lowest, that of `zz`, which no text uses. Without `zz`, `ab` and an unknown `c` (-1 - 40)
    # would be a better reading than `a` and `bc` (-30 - 30).
    pieces = [("<unk>", 0.0), ("▁", -1.0), ("ab", -1.0), ("a", -30.0), ("bc", -30.0), ("zz", -60.0)]
    backend = Backend(models.Unigram(pieces, unk_id=0, byte_fallback=False))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.add_special_tokens(["<pad>"])
    full = Tokenizer.of_backend(backend)
    assert full.encode(["abc"]) == [[1, 3, 4]]
    assert full.encode(["abc"]) != Tokenizer.of_backend(without_last_piece(backend)).encode(["abc"])
    check(full, ["abc ab"], ["abab", "aabc"])


def without_last_piece(backend: Backend) -> Backend:
    specification = json.loads(backend.to_str())
    del specification["model"]["vocab"][-1]
    return Backend.from_str(json.dumps(specification))


def test_a_list(byte_bpe, tmp_path):
    path = tmp_path / "keep.txt"
    path.write_text("Ġthe\nĠmoving\n", encoding="utf-8")
    small = trimmed(byte_bpe, [], "en", keep=str(path))
    kept = small.backend.get_vocab()
    assert {"Ġthe", "Ġmoving", "<|endoftext|>", "<pad>"} <= set(kept)
    assert small.vocabulary[kept["<pad>"]].role == "pad"
    pieces = small.encode([" the moving"])[0]
    assert pieces == [kept["Ġthe"], kept["Ġmoving"]]
    assert "Ġfilm" not in kept

    path.write_text("the film\nĠthe\nnix\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"2 of the 3 lines of .*keep.txt are no tokens .* first is 'the film'"):
        trimmed(byte_bpe, [], "en", keep=str(path))
    with pytest.raises(FileNotFoundError, match=r"other.txt does not exist"):
        trimmed(byte_bpe, [], "en", keep=str(tmp_path / "other.txt"))
    path.write_text("\n")
    with pytest.raises(ValueError, match=r"keep.txt names no token to keep: a token a line is expected"):
        trimmed(byte_bpe, [], "en", keep=str(path))


def test_nothing_to_go_by(byte_bpe):
    with pytest.raises(ValueError, match="there are no texts to trim the vocabulary to"):
        trimmed(byte_bpe, [" "], "en")
    with pytest.raises(ValueError, match="min_count=0 is not possible"):
        trimmed(byte_bpe, ["a"], "en", min_count=0)
    with pytest.raises(ValueError, match="needs a source with a tokenizer of its own"):
        trimmed(None, ["a"], "en")


def test_chinese_words_are_cut_before_trimming(corpus):
    from lexigraft.vocab.targets import words as train_words

    full = train_words(None, corpus, "zh")
    small = trimmed(full, ["房间很干净", "☃"], "zh")
    assert small.segmenter == "jieba"
    old = old_ids(full, small)
    assert [[old[i] for i in ids] for ids in small.encode(["房间很干净"])] == full.encode(["房间很干净"])


def test_an_unknown_word_behind_a_normalizer():
    entries = ["[UNK]", "[PAD]", "a", "ab", "##c"]
    backend = Backend(models.WordPiece({e: i for i, e in enumerate(entries)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.Lowercase()  # and no pre-tokenizer
    small = trimmed(Tokenizer.of_backend(backend), ["ABD"], "en")
    assert list(small.backend.get_vocab(with_added_tokens=False)).count("ab") == 1


# ---- real vocabularies, only where LEXIGRAFT_DATA holds them ----


@needs_real_vocabularies
@pytest.mark.parametrize("name", REAL)
def test_real_vocabularies(name, corpus):
    full = with_padding(real_tokenizer(os.environ["LEXIGRAFT_DATA"], name))
    small = check(full, corpus, [text[i : i + 9] for text in corpus for i in range(0, len(text), 5)])
    assert len(small.vocabulary) < 0.2 * len(full.vocabulary)
    assert small.encode(["☃ qwzx Ωμέγα"])[0]
