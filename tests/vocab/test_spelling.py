"""Tokens read from and written to each family's alphabet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexigraft.vocab.spelling import BYTE_TO_SYMBOL, Spelling, flat_steps
from lexigraft.vocab.vocabulary import Token


def spelling(**settings: object) -> Spelling:
    plain: dict = dict.fromkeys(("byte_level", "byte_fallback", "characters", "word_level"), False)
    plain |= dict.fromkeys(("mark", "prefix", "suffix"))
    return Spelling(**(plain | settings))


BYTE_LEVEL = spelling(byte_level=True)
SENTENCEPIECE = spelling(mark="▁", byte_fallback=True)
WORDPIECE = spelling(prefix="##", word_level=True)


def test_byte_symbols_are_the_published_table():
    assert len(set(BYTE_TO_SYMBOL)) == 256
    assert {0x20: "Ġ", 0x0A: "Ċ", 0x09: "ĉ", 0x41: "A", 0xFC: "ü", 0xAD: "Ń"}.items() <= dict(
        enumerate(BYTE_TO_SYMBOL)
    ).items()


@pytest.mark.parametrize(
    ("family", "content", "token"),
    [
        (BYTE_LEVEL, "Ġthe", Token(b"the", True)),
        (BYTE_LEVEL, "the", Token(b"the", False)),
        (BYTE_LEVEL, "ü", Token(b"\xfc", False)),  # the symbol of byte 0xFC, not the letter
        (BYTE_LEVEL, "Ã¼", Token("ü".encode(), False)),
        (BYTE_LEVEL, "Ġ", Token(b"", True)),
        (BYTE_LEVEL, "ĠĠĠ", Token(b"  ", True)),
        (BYTE_LEVEL, "Ċ", Token(b"\n", False)),
        (BYTE_LEVEL, "<｜x｜>", Token("<｜x｜>".encode(), False)),  # outside the table
        (SENTENCEPIECE, "▁the", Token(b"the", True)),
        (SENTENCEPIECE, "the", Token(b"the", False)),
        (SENTENCEPIECE, "ü", Token("ü".encode(), False)),
        (SENTENCEPIECE, "▁", Token(b"", True)),
        (SENTENCEPIECE, "▁▁▁", Token(b"  ", True)),
        (SENTENCEPIECE, "of▁the", Token(b"of the", False)),
        (SENTENCEPIECE, "<0xFC>", Token(b"\xfc", False, byte_fallback=True)),
        (SENTENCEPIECE, "<0xfc>", Token(b"<0xfc>", False)),
        (spelling(mark="▁"), "<0xFC>", Token(b"<0xFC>", False)),
        (WORDPIECE, "the", Token(b"the", True)),
        (WORDPIECE, "##the", Token(b"the", False)),
        (WORDPIECE, "##", Token(b"##", True)),
        (WORDPIECE, "###", Token(b"#", False)),
        (spelling(word_level=True), "the", Token(b"the", True)),
        (spelling(word_level=True, characters=True), "t", Token(b"t", None)),
        (spelling(suffix="</w>"), "the</w>", Token(b"the", None)),
        (spelling(suffix="</w>", byte_level=True), "Ã¼</w>", Token("ü".encode(), None)),
    ],
)
def test_read(family, content, token):
    assert family.read(content) == token


@pytest.mark.parametrize(
    ("family", "text", "token"),
    [
        (BYTE_LEVEL, "  ü", Token(" ü".encode(), True)),
        (BYTE_LEVEL, "ü", Token("ü".encode(), False)),
        (WORDPIECE, "new", Token(b"new", True)),
        (spelling(word_level=True, characters=True), "new", Token(b"new", None)),
    ],
)
def test_added_entries_are_raw_text(family, text, token):
    assert family.read_added(text) == token


@given(st.binary(max_size=8), st.booleans())
def test_byte_level_spells_every_surface(surface, starts_word):
    if not starts_word and surface.startswith(b" "):  # reads as a boundary
        return
    assert BYTE_LEVEL.read(BYTE_LEVEL.write(surface, starts_word)) == Token(surface, starts_word)


@given(st.text(max_size=8).filter(lambda t: "▁" not in t), st.booleans())
def test_sentencepiece_spells_every_text(text, starts_word):
    if not starts_word and text.startswith(" "):
        return
    token = Token(text.encode(), starts_word)
    assert SENTENCEPIECE.read(SENTENCEPIECE.write(token.surface, starts_word)) == token or text.startswith("<0x")


def test_bytes_that_are_no_text_have_no_other_spelling():
    assert SENTENCEPIECE.write(b"\xfc", True) is None
    assert WORDPIECE.write(b"ing", False) == "##ing"


def test_nested_steps_are_opened():
    inner = {"type": "Sequence", "pretokenizers": [{"type": "Punctuation"}, {"type": "Metaspace"}]}
    outer = {"type": "Sequence", "pretokenizers": [{"type": "Split"}, inner]}
    assert [s["type"] for s in flat_steps(outer)] == ["Split", "Punctuation", "Metaspace"]
    assert list(flat_steps(None)) == []
