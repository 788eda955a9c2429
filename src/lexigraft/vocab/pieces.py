"""The pieces into which a tokenizer cuts a surface, as it would inside a text."""

import json
from functools import cached_property
from typing import Any

import tokenizers

from lexigraft.vocab.scripts import written_without_spaces
from lexigraft.vocab.spelling import Spelling, flat_steps, parsed
from lexigraft.vocab.vocabulary import Token


class Pieces:
    """Callable: an ordinary token -> ids of its pieces in the backend's vocabulary, `[]` where it cannot spell it.

    The surface runs through the tokenizer's own normalizer, pre-tokenizer and model, with a boundary before it exactly
    where the token has one. Unknown-token ids are never among the pieces. Texts in Han, kana or Thai have no spaces,
    so such surfaces get no boundary.
    """

    def __init__(self, backend: tokenizers.Tokenizer, spelling: Spelling, unknown: set[int]) -> None:
        self.backend = backend
        self.spelling = spelling
        self.unknown = unknown

    def __call__(self, token: Token) -> list[int]:
        if token.role is not None:
            return []
        starts = token.starts_word is True and not written_without_spaces(token.surface)
        try:
            text = token.surface.decode()
        except UnicodeDecodeError:
            return self._of_bytes(token.surface, starts)
        if self.spelling.prefix is not None and token.starts_word is False:
            return self._continuing(text)
        # A bare boundary or a newline may be lost to the normalizer although the vocabulary holds it.
        return self._of_text(text, starts) or self._spelled(token.surface, starts) or self._of_text(text, not starts)

    def _of_text(self, text: str, starts: bool) -> list[int]:
        words = self._words(" " + text if starts else text, starts)
        ids: list[int] = []
        for word in words:
            pieces = self._of_word(word)
            if not pieces:
                return []
            ids += pieces
        return ids

    def _words(self, text: str, starts: bool) -> list[str]:
        if self._normalizer is not None:
            text = self._normalizer.normalize_str(text)
        cut = self.backend.pre_tokenizer if starts else self._cut_inside
        return [text] if cut is None else [word for word, _ in cut.pre_tokenize_str(text)]

    def _of_word(self, word: str) -> list[int]:
        """The model's pieces of one pre-tokenised word, `[]` if it leaves out or does not know a part."""
        if self._word_level:
            whole = self.model.token_to_id(word)
            return [] if whole is None or whole in self.unknown else [whole]
        pieces = self.model.tokenize(word)
        covered = 0
        for piece in pieces:
            if piece.id in self.unknown or piece.offsets[0] > covered:
                return []
            covered = max(covered, piece.offsets[1])
        return [piece.id for piece in pieces] if covered >= len(word.encode()) else []

    def _spelled(self, surface: bytes, starts: bool) -> list[int]:
        """The model alone on the surface in its own alphabet."""
        word = self.spelling.write(surface, starts)
        return self._of_word(word) if word else []

    def _of_bytes(self, surface: bytes, starts: bool) -> list[int]:
        """Pieces of bytes that are no UTF-8: only a byte alphabet or `<0xNN>` entries can spell them."""
        if self.spelling.byte_level:
            return self._spelled(surface, starts)
        if not self.spelling.byte_fallback:
            return []
        ids = [self.model.token_to_id(f"<0x{byte:02X}>") for byte in surface]
        return [] if None in ids else [i for i in ids if i is not None]

    def _continuing(self, text: str) -> list[int]:
        """Pieces of a text that continues a word: its first stretch by longest match among the `##` entries.

        Marks and Han characters never continue a word; a letter put before the text shows where they begin.
        """
        first, *rest = self._words("a" + text, starts=False) or ["a"]
        if not first.startswith("a"):  # the normalizer took the letter away
            return []
        ids: list[int] = []
        begin = 1
        while begin < len(first):
            for end in range(len(first), begin, -1):
                piece = self.model.token_to_id(f"{self.spelling.prefix}{first[begin:end]}")
                if piece is not None:
                    ids.append(piece)
                    begin = end
                    break
            else:
                return []
        for word in rest:
            pieces = self._of_word(word)
            if not pieces:
                return []
            ids += pieces
        return ids

    @property
    def model(self) -> Any:
        return self.backend.model

    # The parts below are rebuilt on first use: most vocabularies are never asked for pieces.

    @cached_property
    def _word_level(self) -> bool:
        return isinstance(self.backend.model, tokenizers.models.WordLevel)

    @cached_property
    def _specification(self) -> dict[str, Any]:
        whole = parsed(self.backend)
        return {part: whole[part] for part in ("normalizer", "pre_tokenizer")}

    @cached_property
    def _normalizer(self) -> Any:
        return rebuilt_normalizer([s for s in flat_steps(self._specification["normalizer"]) if s["type"] != "Prepend"])

    @cached_property
    def _cut_inside(self) -> Any:
        """The backend's pre-tokenizer, but without a boundary of its own making."""
        steps = []
        for step in flat_steps(self._specification["pre_tokenizer"]):
            if step["type"] == "Metaspace":
                step = step | {"prepend_scheme": "never"}
            elif step["type"] == "ByteLevel":
                step = step | {"add_prefix_space": False}
            steps.append(step)
        return _shell(pre_tokenizer={"type": "Sequence", "pretokenizers": steps}).pre_tokenizer if steps else None


def rebuilt_normalizer(steps: list[dict[str, Any]]) -> Any:
    """A normalizer from the JSON of its steps; None if there are none."""
    return _shell(normalizer={"type": "Sequence", "normalizers": steps}).normalizer if steps else None


def _shell(**parts: dict[str, Any]) -> tokenizers.Tokenizer:
    """A tokenizer with an empty vocabulary and the given parts: the library builds parts only inside a whole."""
    whole: dict[str, Any] = json.loads(tokenizers.Tokenizer(tokenizers.models.BPE()).to_str())
    return tokenizers.Tokenizer.from_str(json.dumps(whole | parts))
