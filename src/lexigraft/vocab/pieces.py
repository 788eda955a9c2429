"""The pieces into which a tokenizer cuts a surface, as it would inside a text."""

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import tokenizers
from tokenizers import models

from lexigraft.vocab.scripts import written_without_spaces
from lexigraft.vocab.spelling import BYTE_TO_SYMBOL, Spelling, flat_steps, parsed
from lexigraft.vocab.vocabulary import Token

# Stands before a text that continues a word: a rune, which no normalizer or pre-tokenizer takes away from it.
_LETTER = "ᛉ"
_UNKNOWN = "\0unknown"

_Spell = Callable[[str], str | None]


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
        return self.all([token])[0]

    def all(self, tokens: Sequence[Token]) -> list[list[int]]:
        """The pieces of each token, many times as fast as a call for each."""
        found: list[list[int]] = [[] for _ in tokens]
        behind: dict[int, str] = {}  # place in `tokens` -> text
        without: dict[int, str] = {}
        continuing: dict[int, str] = {}
        for i, token in enumerate(tokens):
            if token.role is not None:
                continue
            starts = token.starts_word is True and not written_without_spaces(token.surface)
            try:
                text = token.surface.decode()
            except UnicodeDecodeError:
                found[i] = self._of_bytes(token.surface, starts)
                continue
            if starts:
                behind[i] = text
            elif self.spelling.prefix is not None and token.starts_word is False:
                continuing[i] = text
            else:
                without[i] = text

        def look_up(texts: dict[int, str], cut: Callable[[list[str]], list[list[int]]], spell: _Spell = str) -> None:
            """Fill in what is not found yet."""
            left = {i: spelled for i, text in texts.items() if not found[i] and (spelled := spell(text))}
            for i, ids in zip(left, cut(list(left.values())) if left else []):
                found[i] = ids

        look_up(behind, self._behind, " {}".format)
        look_up(without, self._without)
        look_up(continuing, self._continuing)
        # A bare boundary or a newline may be lost to the normalizer although the vocabulary holds it.
        look_up(behind, self._as_spelled, lambda text: self.spelling.write(text.encode(), True))
        look_up(without, self._as_spelled, lambda text: self.spelling.write(text.encode(), False))
        look_up(behind, self._without)
        look_up(without, self._behind, " {}".format)
        return found

    def words(self, token: Token) -> list[str]:
        """The words into which the tokenizer cuts an ordinary token of text before its model sees it."""
        starts = token.starts_word is True and not written_without_spaces(token.surface)
        text = token.surface.decode()
        cutter = self._with_boundaries if starts else self._inside
        text = f" {text}" if starts else text
        if cutter.normalizer is not None:
            text = cutter.normalizer.normalize_str(text)
        cut = cutter.pre_tokenizer
        return [text] if cut is None else [word for word, _ in cut.pre_tokenize_str(text)]

    def _of_bytes(self, surface: bytes, starts: bool) -> list[int]:
        """Pieces of bytes that are no UTF-8: only a byte alphabet or `<0xNN>` entries can spell them."""
        if self.spelling.byte_level:
            return self._as_spelled([self.spelling.write(surface, starts) or ""])[0]
        if not self.spelling.byte_fallback:
            return []
        ids = [self.backend.model.token_to_id(f"<0x{byte:02X}>") for byte in surface]
        return [] if None in ids else [i for i in ids if i is not None]

    def _behind(self, texts: list[str]) -> list[list[int]]:
        """Pieces of texts that bring their boundary along."""
        return self._known(self._with_boundaries, texts)

    def _without(self, texts: list[str]) -> list[list[int]]:
        """Pieces of texts before which there is no boundary."""
        return self._known(self._inside, texts)

    def _as_spelled(self, texts: list[str]) -> list[list[int]]:
        """The model alone, on texts in its own alphabet."""
        return self._known(self._bare, texts)

    def _continuing(self, texts: list[str]) -> list[list[int]]:
        """Pieces of texts that continue a word: their first stretch by longest match among the `##` entries.

        Marks and Han characters never continue a word; a letter put before the text shows where they begin.
        """
        letter = self._behind_letter.token_to_id(_LETTER)
        found = self._known(self._behind_letter, [_LETTER + text for text in texts])
        return [ids[1:] if ids[:1] == [letter] else [] for ids in found]

    def _known(self, cutter: tokenizers.Tokenizer, texts: list[str]) -> list[list[int]]:
        """The ids of each text, `[]` where there is an unknown one."""
        unknown = set(self.unknown)
        for content in (_UNKNOWN, getattr(cutter.model, "unk_token", None)):
            if content is not None and (i := cutter.token_to_id(content)) is not None:
                unknown.add(i)
        every = [encoding.ids for encoding in cutter.encode_batch_fast(texts, add_special_tokens=False)]
        return [ids if unknown.isdisjoint(ids) else [] for ids in every]

    # The parts below are rebuilt on first use: most vocabularies are never asked for pieces.

    @cached_property
    def _with_boundaries(self) -> tokenizers.Tokenizer:
        return _assembled(self._model, self._normalizer, self.backend.pre_tokenizer)

    @cached_property
    def _inside(self) -> tokenizers.Tokenizer:
        return _assembled(self._model, self._normalizer, self._cut_inside)

    @cached_property
    def _bare(self) -> tokenizers.Tokenizer:
        return _assembled(self._model, None, None)

    @cached_property
    def _behind_letter(self) -> tokenizers.Tokenizer:
        entries = self.backend.get_vocab(with_added_tokens=False)
        entries = {content: i for content, i in entries.items() if not content.startswith(_LETTER)}
        end = max(entries.values(), default=-1) + 1
        model = models.WordPiece(
            entries | {_LETTER: end, _UNKNOWN: end + 1},
            unk_token=_UNKNOWN,
            continuing_subword_prefix=self.spelling.prefix,
            max_input_chars_per_word=1000,
        )
        return _assembled(model, self._normalizer, self._cut_inside)

    @cached_property
    def _model(self) -> Any:
        """The backend's model; a copy that says so of what it does not know, if it would drop that or fail."""
        model = self.backend.model
        if isinstance(model, models.Unigram):
            complete = bool(self.unknown)
        elif model.unk_token is not None and model.token_to_id(model.unk_token) is not None:
            complete = True
        else:
            complete = self.spelling.byte_level and all(model.token_to_id(s) is not None for s in BYTE_TO_SYMBOL)
        if complete:
            return model
        specification = parsed(self.backend)["model"]
        vocabulary = specification["vocab"]
        if isinstance(vocabulary, dict):
            vocabulary[_UNKNOWN] = max(vocabulary.values(), default=-1) + 1
            specification["unk_token"] = _UNKNOWN
        else:
            vocabulary.append([_UNKNOWN, min((score for _, score in vocabulary), default=0.0)])
            specification["unk_id"] = len(vocabulary) - 1
        return _shell(model=specification).model

    @cached_property
    def _normalizer(self) -> Any:
        return rebuilt_normalizer([step for step in _steps(self.backend.normalizer) if step["type"] != "Prepend"])

    @cached_property
    def _cut_inside(self) -> Any:
        """The backend's pre-tokenizer, but without a boundary of its own making."""
        steps = []
        for step in _steps(self.backend.pre_tokenizer):
            if step["type"] == "Metaspace":
                step = step | {"prepend_scheme": "never"}
            elif step["type"] == "ByteLevel":
                step = step | {"add_prefix_space": False}
            steps.append(step)
        return _shell(pre_tokenizer={"type": "Sequence", "pretokenizers": steps}).pre_tokenizer if steps else None


def rebuilt_normalizer(steps: list[dict[str, Any]]) -> Any:
    """A normalizer from the JSON of its steps; None if there are none."""
    return _shell(normalizer={"type": "Sequence", "normalizers": steps}).normalizer if steps else None


def _steps(part: Any) -> list[dict[str, Any]]:
    """The steps of a backend's normalizer or pre-tokenizer as its JSON gives them."""
    return [] if part is None else list(flat_steps(json.loads(part.__getstate__())))


def _assembled(model: Any, normalizer: Any, pre_tokenizer: Any) -> tokenizers.Tokenizer:
    """A tokenizer of these parts, which shares the model and has no added tokens."""
    whole = tokenizers.Tokenizer(model)
    if normalizer is not None:
        whole.normalizer = normalizer
    if pre_tokenizer is not None:
        whole.pre_tokenizer = pre_tokenizer
    return whole


def _shell(**parts: dict[str, Any]) -> tokenizers.Tokenizer:
    """A tokenizer with an empty vocabulary and the given parts: the library builds parts only inside a whole."""
    whole: dict[str, Any] = json.loads(tokenizers.Tokenizer(models.BPE()).to_str())
    return tokenizers.Tokenizer.from_str(json.dumps(whole | parts))
