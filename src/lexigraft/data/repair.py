"""One text without what a web page, a broken converter or a keyboard left in it; each function can be applied again."""

import html
import re
from functools import cache
from html.parser import HTMLParser
from typing import Any

# Line ends of other systems, and what separated records before there were files of lines.
BREAKS = re.compile("[\x0b\x0c\x1c-\x1f\x85\u2028\u2029]")
# C0 and C1 but tab and line ends; zero-width space, soft hyphen, byte order mark, word joiner and other marks without
# an appearance, those of writing direction, and annotation and tag characters.
CONTROL = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\U000e0001\U000e0020-\U000e007f]"
)
# A joiner shapes Indic and Arabic letters and ties emoji together; next to ASCII or East Asian characters it is litter.
JOINER = re.compile("(?<![^\x00-\x7f\u2e80-\u9fff\uff00-\uffef])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f\u2e80-\u9fff\uff00-\uffef])")  # fmt: skip  # noqa: E501
WIDE = {0xFF01 + i: 0x21 + i for i in range(94)} | {0x3000: 0x20}
WIDE_LETTERS = {wide: plain for wide, plain in WIDE.items() if plain == 0x20 or chr(plain).isalnum()}

# Tags that leave nothing, and those that leave a space.
INLINE = (
    "a abbr acronym b bdi bdo big blink cite code data del dfn em font i ins kbd marquee mark nobr q s samp "
    "small span strike strong sub sup time tt u var wbr"
)
BLOCK = (
    "address article aside audio base blockquote body br button canvas caption center col colgroup dd details "
    "dialog dir div dl dt embed fieldset figcaption figure footer form frame frameset h1 h2 h3 h4 h5 h6 head "
    "header hr html iframe img input label legend li link main map menu meta nav noscript object ol optgroup "
    "option p param picture pre script section select source style summary svg table tbody td template textarea "
    "tfoot th thead title tr track ul video"
)
SPACING = frozenset(BLOCK.split())
# A `<` that begins neither a tag of these nor a comment or declaration.
NO_TAG = re.compile(
    rf"<(?!/?(?:{f'{INLINE} {BLOCK}'.replace(' ', '|')})(?=[\s/>])|!--|!doctype\b|!\[CDATA\[|\?xml\b)", re.IGNORECASE
)
UNSEEN = re.compile(r"<(script|style)\b[^<>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL)


def without_html(text: str) -> str:
    """The text that a browser would show: tags of HTML and comments out, entities read (also those written twice).

    A tag that breaks a line (`<br>`, `<p>`) leaves a space, any other nothing. What only looks like a tag stays:
    `<3`, `<书名>`, `<John Smith>`, and a `<` that nothing closes.
    """
    while "<" in text or "&" in text:
        shown = _shown(text)
        if shown == text:
            break
        text = shown
    return text


def without_control(text: str) -> str:
    """The text without control, zero-width and direction characters; what breaks a line becomes a space.

    Tabs and line ends stay, and so do joiners inside emoji and inside scripts that need them.
    """
    return JOINER.sub("", CONTROL.sub("", BREAKS.sub(" ", text)))


def half_width(text: str, which: str = "all") -> str:
    """Full-width characters as their ASCII ones: U+FF01-FF5E as `!` to `~`, the wide space U+3000 as a space.

    `which` "letters" leaves the marks （，！？：；） as they are, which Chinese text and vocabularies write wide.
    """
    return text.translate(WIDE_LETTERS if which == "letters" else WIDE)


def one_space(text: str) -> str:
    """The text with one space for each run of white space, and none at its ends."""
    return " ".join(text.split())


def simplified(text: str) -> str:
    """Traditional Chinese characters as simplified ones, by OpenCC's `t2s` (by phrase where one character is several).

    `ImportError` where OpenCC is not installed.
    """
    return text if text.isascii() else _to_simplified().convert(text)


@cache
def _to_simplified() -> Any:
    try:
        import opencc
    except ImportError as error:
        raise ImportError(
            "cleaning.simplified=true needs OpenCC, which is not installed: pip install 'lexigraft[chinese]'"
        ) from error
    return opencc.OpenCC("t2s")


def _shown(text: str) -> str:
    reader = _Reader()
    reader.feed(NO_TAG.sub("&lt;", UNSEEN.sub(" ", text)))
    # What is still unread is an open tag or entity: closing the reader would treat it differently in each Python.
    return "".join(reader.parts) + html.unescape(reader.rawdata)


class _Reader(HTMLParser):
    """Collects what is no tag."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []

    def set_cdata_mode(self, *_: Any, **__: Any) -> None:
        """Nothing: an open `<script>` or `<title>` in a snippet must not swallow the rest."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in SPACING:
            self.parts.append(" ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag in SPACING:
            self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    def unknown_decl(self, data: str) -> None:
        self.parts.append(data.removeprefix("CDATA["))
