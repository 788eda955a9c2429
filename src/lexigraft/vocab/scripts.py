"""What a script says about word boundaries and about the width of its characters."""

import unicodedata

# Blocks whose texts put no space between words: there a boundary flag says nothing. Korean uses spaces.
_WITHOUT_SPACES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x109F),  # Tibetan, Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x2FFF),  # radicals
    (0x3000, 0x312F),  # CJK punctuation, kana, Bopomofo
    (0x3190, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFE30, 0xFE4F),  # CJK compatibility forms
    (0xFF00, 0xFFEF),  # fullwidth and halfwidth forms
    (0x20000, 0x3FFFF),
)
_WIDTH = {
    code: unicodedata.normalize("NFKC", chr(code))
    for code in (0x3000, *range(0xFF01, 0xFFEF))
    if unicodedata.east_asian_width(chr(code)) in "FH"
}


def written_without_spaces(surface: bytes) -> bool:
    """Whether the first character belongs to a script that puts no space between words (Han, kana, Thai, ...).

    False where the surface does not begin with a whole character.
    """
    if not surface or surface[0] < 0xE0:  # all these blocks take three or four bytes
        return False
    try:
        first = ord(surface[: 3 if surface[0] < 0xF0 else 4].decode())
    except UnicodeDecodeError:
        return False
    return any(low <= first <= high for low, high in _WITHOUT_SPACES)


def fold_width(text: str) -> str:
    """Fullwidth letters and marks (`Ａ`, `，`) as ASCII, halfwidth kana as full ones; everything else unchanged."""
    return text if text.isascii() else text.translate(_WIDTH)
