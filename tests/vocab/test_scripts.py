"""Which scripts know spaces, and which characters have a width."""

import pytest

from lexigraft.vocab.scripts import fold_width, written_without_spaces


@pytest.mark.parametrize("text", ["中", "国a", "か", "カ", "ไ", "ខ", "，", "。", "Ａ", "𠀀"])
def test_without_spaces(text):
    assert written_without_spaces(text.encode())


@pytest.mark.parametrize("surface", [b"", b"a", "é中".encode(), "한".encode(), b"\xe4\xb8", b"\xfc", "я".encode()])
def test_with_spaces_or_no_character(surface):
    assert not written_without_spaces(surface)


def test_only_width_is_folded():
    assert fold_width("ＡＢ，！　中é①") == "AB,! 中é①"
    assert fold_width("ｶ") == "カ"
    assert fold_width("plain") == "plain"
