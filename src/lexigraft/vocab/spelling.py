"""How a tokenizer spells a token: its byte alphabet, its mark of a word boundary, its mark of a continuation."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import tokenizers

from lexigraft.vocab.vocabulary import Token

_BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")


def _byte_symbols() -> list[str]:
    """Byte -> the visible character that stands for it in byte-level vocabularies (Radford et al. 2019)."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [b for b in range(256) if b not in visible]
    return [chr(b) if b in visible else chr(256 + hidden.index(b)) for b in range(256)]


BYTE_TO_SYMBOL = _byte_symbols()


class _SymbolsToBytes(dict[int, str]):
    """For `str.translate`: the symbol of byte n becomes the character n, any other one those of its own UTF-8."""

    def __missing__(self, code: int) -> str:
        return chr(code).encode().decode("latin-1")


_SYMBOLS = _SymbolsToBytes({ord(symbol): chr(byte) for byte, symbol in enumerate(BYTE_TO_SYMBOL)})


def flat_steps(part: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """The steps of a normalizer, pre-tokenizer or decoder as its JSON gives them, sequences opened."""
    if part is None:
        return
    if part["type"] != "Sequence":
        yield part
        return
    for key in ("normalizers", "pretokenizers", "decoders"):
        for step in part.get(key, ()):
            yield from flat_steps(step)


@dataclass(frozen=True)
class Spelling:
    """The alphabet of one tokenizer, as its backend's JSON tells it.

    At most one of `byte_level` (GPT-2), `mark` (SentencePiece's `▁`) and `prefix` (WordPiece's `##`) is in force, in
    this order. Without any, whole entries are words, or characters (`characters`), or parts of words whose start is
    unknown (`suffix`, the `</w>` of older BPE).
    """

    byte_level: bool
    mark: str | None
    prefix: str | None
    suffix: str | None
    byte_fallback: bool
    characters: bool
    word_level: bool

    @classmethod
    def of(cls, backend: tokenizers.Tokenizer, specification: dict[str, Any]) -> "Spelling":
        """Read from `specification`, the backend's parsed JSON; the backend only answers whether it cuts letters."""
        model = specification["model"]
        steps = [s for p in ("normalizer", "pre_tokenizer", "decoder") for s in flat_steps(specification[p])]
        kinds = {step["type"] for step in steps}
        cut = backend.pre_tokenizer
        return cls(
            byte_level="ByteLevel" in kinds,
            mark=next((m for m in map(_boundary_mark, steps) if m), None),
            prefix=model.get("continuing_subword_prefix") or None,
            suffix=model.get("end_of_word_suffix") or None,
            byte_fallback=bool(model.get("byte_fallback")) or "ByteFallback" in kinds,
            characters=cut is not None and len(cut.pre_tokenize_str("ab")) == 2,
            word_level=model["type"] in ("WordLevel", "WordPiece"),
        )

    def read(self, content: str) -> Token:
        """The ordinary token that a vocabulary entry stands for."""
        if self.byte_fallback and content.startswith("<0x") and (piece := _BYTE_PIECE.fullmatch(content)):
            return Token(bytes.fromhex(piece[1]), False, byte_fallback=True)
        if self.suffix is not None and content.endswith(self.suffix):
            content = content[: -len(self.suffix)]
        if self.byte_level:
            surface = content.encode() if content.isascii() else content.translate(_SYMBOLS).encode("latin-1")
            starts = None if self.suffix else surface[:1] == b" "
            return Token(surface[1:] if starts else surface, starts)
        if self.mark is not None:
            starts = content.startswith(self.mark)
            text = content[len(self.mark) :] if starts else content
            return Token(text.replace(self.mark, " ").encode(), starts)
        if self.prefix is not None:
            continues = content.startswith(self.prefix) and content != self.prefix
            return Token(content[len(self.prefix) :].encode() if continues else content.encode(), not continues)
        return Token(content.encode(), True if self.word_level and not self.characters else None)

    def read_added(self, text: str) -> Token:
        """The ordinary token of an added entry, which is matched in raw text and so spelled without any alphabet."""
        if self.byte_level or self.mark is not None:
            starts = text.startswith(" ")
            return Token(text[1:].encode() if starts else text.encode(), starts)
        return Token(text.encode(), True if self.word_level and not self.characters else None)

    def write(self, surface: bytes, starts_word: bool) -> str | None:
        """A surface in the model's own alphabet, boundary mark included; None if the alphabet cannot spell it."""
        if self.byte_level:
            return "".join(BYTE_TO_SYMBOL[b] for b in (b" " + surface if starts_word else surface))
        try:
            text = surface.decode()
        except UnicodeDecodeError:
            return None
        if self.mark is not None:
            return (self.mark if starts_word else "") + text.replace(" ", self.mark)
        return text if self.prefix is None or starts_word else self.prefix + text


def _boundary_mark(step: dict[str, Any]) -> str | None:
    """The character that stands for a space, if this step is the one that says so."""
    if step["type"] == "Metaspace":
        mark: str = step["replacement"]
        return mark
    if step["type"] == "Replace":
        # The normalizer turns " " into "▁", the decoder turns it back.
        old, new = step["pattern"].get("String"), step["content"]
        for this, other in ((old, new), (new, old)):
            if this == " " and other and len(other) == 1 and not other.isspace():
                return str(other)
    return None


def parsed(backend: tokenizers.Tokenizer) -> dict[str, Any]:
    """The backend's own JSON."""
    specification: dict[str, Any] = json.loads(backend.to_str())
    return specification
