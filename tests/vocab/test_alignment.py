"""Alignment of two vocabularies: against byte truth for every pair of families, by properties, and by known traps."""

import os
import re
import string
import unicodedata
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import models, normalizers, pre_tokenizers

from lexigraft.vocab.alignment import TIERS, align
from lexigraft.vocab.tokenizer import Tokenizer
from lexigraft.vocab.vocabulary import Token, Vocabulary
from tests.fixtures.tokenizers import FAMILIES
from tests.vocab.real import REAL, needs_real_vocabularies, real_tokenizer

HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
SPACELESS = re.compile("[\u0e00-\u109f\u1780-\u17ff\u2e80-\u312f\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]")


def tiers(source: Vocabulary, target: Vocabulary, **options: bool) -> list[str]:
    return [TIERS[t] for t in align(source, target, **options).tier]


def ids(source: Vocabulary, target: Vocabulary, **options: bool) -> list[int]:
    return align(source, target, **options).source_id.tolist()


# ---- byte truth, worked out here without lexigraft's reader ----


def library_byte_table() -> dict[str, int]:
    """Symbol -> byte, observed from what the library makes of characters of every length."""
    cut = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    found: dict[str, int] = {}
    for code in (*range(0x800), *range(0x1000, 0x11000, 0x1000), *range(0x20000, 0x110000, 0x10000)):
        if not 0xD800 <= code < 0xE000:
            symbols = "".join(word for word, _ in cut.pre_tokenize_str(chr(code)))
            found.update(zip(symbols, chr(code).encode()))
    # Bytes that occur in no UTF-8 text stand for themselves.
    found.update((chr(byte), byte) for byte in range(0xC0, 0x100) if byte not in found.values())
    assert len(found) == 256
    return found


Truth = dict[int, tuple[bytes, bool | None]]


def truth(family: str, tokenizer: Tokenizer) -> Truth:
    """Id -> (bytes, starts_word) of every ordinary token, after the rules of the family's publication."""
    table = library_byte_table()
    special = {t.content for t in tokenizer.backend.get_added_tokens_decoder().values()}
    found: Truth = {}
    for content, i in tokenizer.backend.get_vocab().items():
        if content in special:
            continue
        if family == "wordpiece":
            text, starts = content.removeprefix("##"), None if content.startswith("##") else True
            joined = not HAN.match(text) and not is_mark(text[:1])  # BERT isolates Han characters and marks alone
            found[i] = (text.encode(), False) if starts is None else (text.encode(), True if joined else None)
        elif family in ("byte_bpe", "tiktoken_bpe"):
            surface = bytes(table[symbol] for symbol in content)
            found[i] = (surface[1:], True) if surface.startswith(b" ") else (surface, False)
        elif family in ("sp_bpe", "unigram"):
            piece = re.fullmatch("<0x(..)>", content)
            surface = bytes.fromhex(piece[1]) if piece else content.replace("▁", " ").encode()
            found[i] = (surface[1:], True) if surface.startswith(b" ") else (surface, False)
        else:
            found[i] = (content.encode(), None if family == "characters" else True)
    return found


def is_mark(character: str) -> bool:
    """Whether BERT takes it for punctuation: any ASCII sign, and Unicode's class P."""
    return character in string.punctuation or unicodedata.category(character).startswith("P")


def comparable_or_equal(a: tuple[bytes, bool | None], b: tuple[bytes, bool | None]) -> bool:
    """Whether two true tokens are the same: bytes equal, and flags too wherever both mean something."""
    spaceless = SPACELESS.match(a[0].decode(errors="replace"))
    return a[0] == b[0] and (a[1] == b[1] or a[1] is None or b[1] is None or bool(spaceless))


@pytest.mark.parametrize(("source_family", "target_family"), list(permutations(FAMILIES, 2)))
def test_precision_and_recall_against_byte_truth(tokenizers_by_family, source_family, target_family):
    source, target = tokenizers_by_family[source_family], tokenizers_by_family[target_family]
    check_against_truth(source, truth(source_family, source), target, truth(target_family, target))


def check_against_truth(source: Tokenizer, true_source: Truth, target: Tokenizer, true_target: Truth) -> None:
    """Precision 1.00 and recall >= 0.99, and the very same token is preferred to one that is only comparable."""
    by_bytes: dict[bytes, list[tuple[bytes, bool | None]]] = {}
    for i, key in true_source.items():
        if i not in source.vocabulary.unreachable:
            by_bytes.setdefault(key[0], []).append(key)
    found = align(source.vocabulary, target.vocabulary, normalised=False)

    true_target = {i: key for i, key in true_target.items() if i not in target.vocabulary.unreachable}
    matched = {i for i in true_target if found.source_id[i] >= 0}
    wrong = [i for i in matched if not comparable_or_equal(true_source[int(found.source_id[i])], true_target[i])]
    assert wrong == []  # precision 1.00
    exact = {i for i in matched if TIERS[found.tier[i]] == "exact"}
    assert all(true_source[int(found.source_id[i])] == true_target[i] for i in exact)

    findable = {
        i for i, key in true_target.items() if any(comparable_or_equal(c, key) for c in by_bytes.get(key[0], ()))
    }
    assert len(findable) >= 5
    assert len(matched & findable) / len(findable) >= 0.99
    # Where the very same token exists, it is the one that is found.
    assert exact == {i for i in findable if true_target[i] in by_bytes[true_target[i][0]]}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_truth_is_what_tokens_stand_for_in_running_text(tokenizers_by_family, corpus, family):
    tokenizer = tokenizers_by_family[family]
    check_truth_in_texts(tokenizer, truth(family, tokenizer), corpus)


def check_truth_in_texts(tokenizer: Tokenizer, true: Truth, texts: list[str]) -> None:
    """What a token covers of a text, by the library's own offsets, is its bytes, behind a space if it starts a word."""
    seen = set()
    for text in texts:
        encoding = tokenizer.backend.encode(text, add_special_tokens=False)
        for i, (begin, end) in zip(encoding.ids, encoding.offsets):
            covered = text[begin:end]
            if (
                i not in true
                or unicodedata.normalize("NFKC", covered) != covered
                or "\ufffd" in true[i][0].decode(errors="replace")
            ):  # folded, or a part of a character
                continue
            surface, starts = true[i]
            assert covered.lstrip(" ").encode() == surface
            if starts:
                assert covered.startswith(" ") or begin == 0 or not text[begin - 1].isalnum()
            elif starts is False:
                assert not covered.startswith(" ")
            seen.add(i)
    assert len(seen) > 50


@pytest.mark.parametrize("family", FAMILIES)
def test_a_vocabulary_aligns_with_itself(tokenizers_by_family, family):
    vocabulary = tokenizers_by_family[family].vocabulary
    found = align(vocabulary, vocabulary)
    assert set(found.tier) <= {TIERS.index("role"), TIERS.index("exact")}
    assert found.source_id.tolist() == list(range(len(vocabulary)))  # `<0x41>` too, although `A` is the same byte


def test_arrays_and_counts(wordpiece, byte_bpe):
    found = align(wordpiece.vocabulary, byte_bpe.vocabulary)
    assert found.source_id.dtype == np.int64
    assert found.tier.dtype == np.uint8
    assert len(found.source_id) == len(found.tier) == len(byte_bpe.vocabulary)
    assert sum(found.counts().values()) == len(byte_bpe.vocabulary)
    assert found.counts()["none"] == int((found.source_id == -1).sum())


# ---- properties ----

surfaces = st.one_of(
    st.binary(max_size=2), st.sampled_from(["a", "A", "ａ", "中", "，", ",", " ", "  a", "é", "ü"]).map(str.encode)
)
ordinary = st.builds(Token, surfaces, st.sampled_from([True, False, None]), st.none(), st.booleans())
special = st.builds(Token, st.just(b"<x>"), st.none(), st.sampled_from(["pad", "bos", "cls", "unused", "special:<x>"]))
vocabularies = st.builds(Vocabulary, st.lists(ordinary | special, max_size=25).map(tuple))


def key(token: Token) -> tuple[bytes, bool | None]:
    """Bytes and flag; a space inside a token is the boundary itself."""
    if token.starts_word is False and token.surface.startswith(b" "):
        return token.surface[1:], True
    return token.surface, token.starts_word


@given(vocabularies)
def test_identity(vocabulary):
    found = align(vocabulary, vocabulary)
    for i, token in enumerate(vocabulary):
        j = int(found.source_id[i])
        assert j == i  # `unused` ids too, so that every row of an identity transplant is copied
        assert TIERS[found.tier[i]] == ("exact" if token.role in (None, "unused") else "role")


@given(vocabularies)
def test_among_copies_one_of_the_same_kind_and_the_lowest_id_win(vocabulary):
    target = Vocabulary((Token(b"", None, "unused"),) * len(vocabulary) + vocabulary.tokens)  # no id is shared
    for i, j in enumerate(ids(vocabulary, target)[len(vocabulary) :]):
        if vocabulary[i].role is None:
            twins = [k for k, t in enumerate(vocabulary) if t.role is None and key(t) == key(vocabulary[i])]
            of_bytes = vocabulary[i].byte_fallback
            assert j == min(twins, key=lambda k: (vocabulary[k].byte_fallback is not of_bytes, k))


@given(vocabularies, vocabularies)
def test_exact_matches_are_symmetric_and_bytes_always_agree(a, b):
    forth, back = align(a, b, normalised=False), align(b, a, normalised=False)
    for i, token in enumerate(b):
        j = int(forth.source_id[i])
        tier = TIERS[forth.tier[i]]
        assert (j == -1) == (tier == "none")
        if token.role == "unused":
            assert tier == "none" or (i == j and a[j].role == "unused")
        elif tier in ("exact", "surface"):
            assert key(a[j])[0] == key(token)[0]
            assert a[j].role is None
        if tier == "exact":
            assert key(a[j]) == key(token)
            assert TIERS[back.tier[j]] == "exact"
            assert key(b[int(back.source_id[j])]) == key(a[j])


@given(vocabularies, vocabularies)
def test_the_normalised_tier_only_adds(a, b):
    source = Vocabulary(a.tokens, normalize=str.lower)
    strict, folded = align(source, b, normalised=False), align(source, b)
    kept = strict.tier > 0
    assert (folded.source_id[kept] == strict.source_id[kept]).all()
    assert all(TIERS[t] in ("none", "normalised") for t in folded.tier[~kept])


# ---- known traps ----


def test_the_symbol_of_a_byte_is_not_a_letter(byte_bpe, sp_bpe):
    source, target = byte_bpe.backend.token_to_id("ü"), sp_bpe.backend.token_to_id("ü")
    found = align(sp_bpe.vocabulary, byte_bpe.vocabulary)
    assert found.source_id[source] != target
    assert found.source_id[source] == sp_bpe.backend.token_to_id("<0xFC>")


def test_byte_pieces_lose_to_real_tokens_except_as_byte_pieces():
    source = Vocabulary((Token(b"A", False, byte_fallback=True), Token(b"\xfc", False, byte_fallback=True),
                         Token(b"A", False)))  # fmt: skip
    target = Vocabulary((Token(b"A", False), Token(b"\xfc", False), Token(b"A", False, byte_fallback=True)))
    assert ids(source, target) == [2, 1, 0]


def test_parts_of_characters_do_not_collapse():
    # `decode()` shows every one of these as U+FFFD.
    parts = [Token(bytes([byte]), False) for byte in range(0x80, 0x100)]
    assert ids(Vocabulary(tuple(parts)), Vocabulary(tuple(reversed(parts)))) == list(range(127, -1, -1))


def test_bare_boundaries_newlines_and_runs_of_spaces(byte_bpe, sp_bpe):
    by_content = {c: byte_bpe.vocabulary[byte_bpe.backend.token_to_id(c)] for c in ("Ġ", "Ċ")}
    runs = [Token(b" " * n, True) for n in range(1, 27)]
    target = Vocabulary((by_content["Ġ"], by_content["Ċ"], *runs))
    found = ids(sp_bpe.vocabulary, target)
    assert found[0] == sp_bpe.backend.token_to_id("▁")
    assert found[1] == sp_bpe.backend.token_to_id("<0x0A>")
    assert found[2:] == [-1] * 26  # no two runs are one, and none is the bare boundary
    assert ids(Vocabulary(tuple(runs)), Vocabulary(tuple(runs))) == list(range(26))


def test_the_byte_of_a_space_is_the_bare_boundary():
    assert ids(Vocabulary((Token(b"", True),)), Vocabulary((Token(b" ", False, byte_fallback=True),))) == [0]


def test_word_starts_and_word_parts_differ():
    source = Vocabulary((Token(b"the", True),))
    assert tiers(source, Vocabulary((Token(b"the", True), Token(b"the", False), Token(b"the", None)))) == [
        "exact", "none", "surface"
    ]  # fmt: skip


def test_unspaced_scripts_prefer_the_same_flag_then_the_inner_one():
    han = "中".encode()
    both = Vocabulary((Token(han, True), Token(han, False)))
    target = Vocabulary((Token(han, True), Token(han, False), Token(han, None)))
    assert ids(both, target) == [0, 1, 1]
    assert tiers(both, target) == ["exact", "exact", "surface"]
    assert tiers(Vocabulary((Token(han, True),)), target) == ["exact", "surface", "surface"]


def test_entries_that_berts_tokenizer_never_produces_are_not_copied():
    han = "中".encode()
    bert = Vocabulary((Token(han, None), Token(han, False), Token(b"!", False)), unreachable=frozenset({1, 2}))
    gpt2 = Vocabulary((Token(han, False), Token(b"!", False)))
    assert ids(bert, gpt2) == [0, -1]
    assert ids(bert, bert) == [0, 1, 2]
    assert ids(gpt2, bert) == [0, 0, 1]


def test_roles_not_spellings():
    source = Vocabulary((Token(b"[CLS]", None, "cls"), Token(b"[SEP]", None, "sep"), Token(b"<pad>", True)))
    target = Vocabulary(
        (Token(b"<pad>", None, "pad"), Token(b"<s>", None, "bos"), Token(b"[CLS]", True), Token(b"</s>", None, "eos"))
    )
    # The word "<pad>" is no padding token, and the word "[CLS]" no special one.
    assert ids(source, target) == [-1, 0, -1, 1]
    assert tiers(source, target) == ["none", "role", "none", "role"]


def test_a_token_with_several_roles():
    gpt2 = Vocabulary((Token(b"<|endoftext|>", None, "eos"),), further_roles=(("bos", 0),))
    roberta = Vocabulary((Token(b"<s>", None, "bos"), Token(b"</s>", None, "eos"), Token(b"<mask>", None, "mask")))
    bert = Vocabulary((Token(b"[CLS]", None, "cls"), Token(b"[SEP]", None, "sep")))
    only_bos = Vocabulary((Token(b"<s>", None, "bos"),))
    assert ids(gpt2, roberta) == [0, 0, -1]
    assert ids(roberta, gpt2) == [1]
    assert ids(gpt2, bert) == [0, 0]
    assert ids(bert, gpt2) == [1]
    assert ids(only_bos, gpt2) == [0]


def test_other_special_tokens_match_by_their_name():
    extra = Token(b"<extra_id_0>", None, "special:<extra_id_0>")
    assert tiers(Vocabulary((extra,)), Vocabulary((extra, Token(b"<x>", None, "special:<x>")))) == ["role", "none"]


def test_pairs_come_before_roles():
    eos, turn = Token(b"</s>", None, "eos"), Token(b"<|turn|>", None, "special:<|turn|>")
    source = Vocabulary((Token(b"end", False), Token(b"end", True), eos, turn, Token(b"</s>", True)))
    target = Vocabulary(
        (Token(b"<end>", None, "eos"), Token(b"[SEP]", None, "sep"), Token(b"<|t|>", None, "special:t"))
    )
    assert ids(source, target) == [2, 2, -1]
    found = align(source, target, pairs={"[SEP]": "<|turn|>", "<|t|>": "end", "<end>": "</s>"})
    assert found.source_id.tolist() == [2, 3, 1]  # of the ordinary ones, that which starts a word
    assert [TIERS[t] for t in found.tier] == ["role"] * 3


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ({"[SPE]": "</s>"}, r"the target has no special token '\[SPE\]' to pair: did you mean '\[SEP\]'\?"),
        ({"word": "</s>"}, "the target has no special token 'word' to pair$"),
        ({"[SEP]": "</S>"}, r"the source has no token '</S>' to pair '\[SEP\]' with: did you mean '</s>'\?"),
    ],
)
def test_pairs_of_tokens_that_are_not_there(pairs, message):
    source = Vocabulary((Token(b"</s>", None, "eos"), Token(b"", None, "unused")))
    target = Vocabulary((Token(b"[SEP]", None, "sep"), Token(b"word", True)))
    with pytest.raises(ValueError, match=message):
        align(source, target, pairs=pairs)


def test_unused_ids_match_themselves_alone():
    unused = Token(b"", None, "unused")
    assert ids(Vocabulary((unused, unused)), Vocabulary((Token(b"a", True), unused, unused))) == [-1, 1, -1]


def test_what_the_sources_normalizer_folds():
    backend = Backend(models.WordPiece({"[UNK]": 0, "zurich": 1, "the": 2, "##the": 3, ",": 4}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    source = Tokenizer.of_backend(backend).vocabulary
    target = Vocabulary(
        (Token("Zürich".encode(), True), Token(b"The", False), Token("，".encode(), True), Token(b"\n", True),
         Token("\u0301".encode(), True), Token(b"\xfc", True))
    )  # fmt: skip
    assert ids(source, target) == [1, 3, 4, -1, -1, -1]
    assert tiers(source, target)[:3] == ["normalised"] * 3
    assert tiers(source, target, normalised=False) == ["none"] * 6


def test_width_is_folded_both_ways():
    wide, narrow = Token("，".encode(), True), Token(b",", False)
    assert tiers(Vocabulary((wide,)), Vocabulary((narrow,))) == ["normalised"]
    assert tiers(Vocabulary((narrow,)), Vocabulary((wide,))) == ["normalised"]
    assert tiers(Vocabulary((wide, Token(b",", False))), Vocabulary((narrow,))) == ["exact"]


def test_copies_of_one_token_are_one():
    source = Vocabulary((Token(b"a", True, byte_fallback=True), *[Token(b"a", True)] * 3, *[Token(b"a", None)] * 2))
    assert ids(source, Vocabulary((Token(b"a", True), Token(b"a", None), Token(b"a", False)))) == [1, 4, 4]


# ---- real vocabularies, only where LEXIGRAFT_DATA holds them ----


@needs_real_vocabularies
@pytest.mark.parametrize(("source_name", "target_name"), list(permutations(REAL, 2)))
def test_real_vocabularies_against_byte_truth(source_name, target_name):
    folder = os.environ["LEXIGRAFT_DATA"]
    source, target = (real_tokenizer(folder, name) for name in (source_name, target_name))
    check_against_truth(source, truth(REAL[source_name], source), target, truth(REAL[target_name], target))


@needs_real_vocabularies
def test_entries_of_bert_that_are_never_produced():
    bert = real_tokenizer(os.environ["LEXIGRAFT_DATA"], "bert-base-chinese").vocabulary
    gpt2 = real_tokenizer(os.environ["LEXIGRAFT_DATA"], "gpt2").vocabulary
    assert len(bert.unreachable) > 7000
    found = align(bert, gpt2, normalised=False)
    assert found.counts()["exact"] > 3000
    assert not bert.unreachable & set(found.source_id.tolist())
