"""The source's tokenizer with further tokens behind its last one: every old id stays, and texts become shorter.

How a new token gets into texts depends on the model. Texts without any of the new tokens are cut as before.

- BPE: as an entry with merges of the lowest priority, which join what the old merges leave. Where a token was cut into
  more than two pieces, the parts between them and the token become entries too (each character before two of them). A
  model that takes known words whole (`ignore_merges`) needs none for words.
- Unigram: as a piece that scores slightly more than the pieces that it is cut into.
- WordPiece: as an added token, which is found in texts before they are cut; one of letters only as a whole word, so
  that no other word is cut differently. `##` continuations become entries.
- WordLevel: as an entry.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import models

from lexigraft.hub import local_path
from lexigraft.vocab.bpe import Merges
from lexigraft.vocab.pieces import Pieces
from lexigraft.vocab.renumber import entries_by_id, rebuilt
from lexigraft.vocab.scripts import written_without_spaces
from lexigraft.vocab.spelling import Spelling, parsed
from lexigraft.vocab.targets import source_tokenizer
from lexigraft.vocab.tokenizer import Tokenizer, jieba_words
from lexigraft.vocab.vocabulary import Token

_CONTINUES = "##"
_LETTERS = re.compile(r"[^\W\d_]+")
_MARGIN = 1e-3  # of a Unigram score, a logarithm of a probability, for each piece saved

log = logging.getLogger(__name__)


def extended(
    source: Tokenizer | None,
    texts: Sequence[str],
    language: str,
    tokens: str | None = None,
    size: int = 1000,
    min_count: int = 5,
) -> Tokenizer:
    """The source's tokenizer and new tokens: those that a file lists, or words of the texts.

    `tokens` is the file: a word a line as it stands in texts, `##` before a part that continues words. Without it, the
    words that occur at least `min_count` times and are cut into two pieces or more, most pieces saved per entry first,
    until `size` entries are new; jieba's words where `language` is "zh", runs of letters otherwise. `<pad>` comes
    before them where the source has no padding token. `ValueError` where nothing is new, or a line cannot be a token.
    """
    base = source_tokenizer(source, texts, language)
    if tokens is not None:
        new, limit = _listed(base, tokens), None
    else:
        new, limit = _useful_words(base, texts, language, size, min_count), size
    found = _with_tokens(base, new, limit)
    if len(found.vocabulary) == len(base.vocabulary):
        none = f"no word that the source cuts into pieces occurs min_count={min_count} times: choose a smaller one"
        raise ValueError(f"there is no new token: {f'{tokens} names only tokens of the source' if tokens else none}")
    return found


def _listed(base: Tokenizer, path: str) -> list[Token]:
    lines = [line for line in local_path(path).read_text(encoding="utf-8").split("\n") if line]
    new = list(dict.fromkeys(_token(base, line) for line in lines))
    if cut := [token for token in new if not _stays_whole(base, token)]:
        raise ValueError(
            f"{len(cut)} of the lines of {path} would never be found in a text, since the source's tokenizer cuts "
            f"texts inside them; the first is {cut[0].surface.decode()!r}: take them out"
        )
    return new


def _useful_words(base: Tokenizer, texts: Sequence[str], language: str, size: int, min_count: int) -> list[Token]:
    if size < 1 or min_count < 1:
        raise ValueError(f"size={size} and min_count={min_count} are not possible: expected 1 or more of each")
    if not any(text.strip() for text in texts):
        raise ValueError("there are no texts to find words in: choose a data set, or give tokenizer.tokens=FILE")
    counts = Counter[str]()
    for text, times in Counter(texts).items():
        words = jieba_words(text) if language == "zh" else _LETTERS.findall(text)
        for word in words:
            counts[word] += times
    folded = Counter[Token]()
    for word, count in counts.items():
        if _LETTERS.fullmatch(word):
            folded[_token(base, word)] += count
    frequent = [token for token, count in folded.items() if count >= min_count and _stays_whole(base, token)]
    saved = {}
    for token, pieces in zip(frequent, base.vocabulary.segment_all(frequent)):
        if len(pieces) != 1:
            fewer = len(pieces) - 1 if pieces else 1  # what is unknown altogether counts as two pieces
            saved[token] = folded[token] * fewer / (fewer if _needs_merges(base, token) else 1)
    return sorted(saved, key=lambda token: (-saved[token], token.surface))


def _needs_merges(base: Tokenizer, token: Token) -> bool:
    """Whether a new token takes a merge, and so an entry, for each piece that it saves."""
    model = base.backend.model
    return isinstance(model, models.BPE) and not (
        model.ignore_merges and token.starts_word and not written_without_spaces(token.surface)
    )


def _token(base: Tokenizer, line: str) -> Token:
    """The token of a line, after what the source's normalizer folds."""
    continues = line.startswith(_CONTINUES) and line != _CONTINUES
    text = line.removeprefix(_CONTINUES) if continues else line
    fold = base.vocabulary.normalize
    return Token((text if fold is None else fold(text)).encode(), not continues)


def _stays_whole(base: Tokenizer, token: Token) -> bool:
    """Whether the source's tokenizer cuts texts nowhere inside the token."""
    pieces = base.vocabulary.segment
    assert isinstance(pieces, Pieces)
    return bool(token.surface) and (pieces.spelling.prefix is not None or len(pieces.words(token)) == 1)


def _with_tokens(base: Tokenizer, new: Iterable[Token], limit: int | None) -> Tokenizer:
    """The tokenizer with the tokens and the entries that they need, at most `limit` in all."""
    specification = parsed(base.backend)
    kind = specification["model"]["type"]
    grow = _Growth(base, specification, len(base.vocabulary) + limit if limit is not None else None)
    # Entries before added tokens, which then need not become entries: see `rebuilt`.
    for token in sorted(new, key=lambda token: kind == "WordPiece" and token.starts_word is True):
        if kind == "BPE":
            grow.by_merges(token)
        elif kind == "Unigram":
            grow.by_score(token)
        elif kind == "WordPiece" and token.starts_word:
            grow.by_search(token)
        else:
            grow.by_entry(token)
    if grow.skipped and limit is None:
        log.warning("%d of the listed tokens are in the source's vocabulary already: skipped", grow.skipped)
    return rebuilt(base, specification, grow.entries)


class _Growth:
    """A tokenizer's JSON with more and more entries; `limit` is the last id + 1 that may be used."""

    def __init__(self, base: Tokenizer, specification: dict[str, Any], limit: int | None) -> None:
        self.base, self.limit = base, limit
        self.model, self.added = specification["model"], specification["added_tokens"]
        self.spelling = Spelling.of(base.backend, specification)
        self.entries = entries_by_id(self.model)
        self.known = {content for content, _ in self.entries.values()} | {entry["content"] for entry in self.added}
        self.end = len(base.vocabulary)
        self.skipped = 0
        self.lowest = min((score for _, score in self.entries.values()), default=0.0)
        self.merges = Merges(self.model) if self.model["type"] == "BPE" else None

    def by_entry(self, token: Token) -> None:
        content = self._content(token)
        if self._is_new(content):
            self._append({content: 0.0})

    def by_search(self, token: Token) -> None:
        """As an added token, which the library looks for in normalised text."""
        content = token.surface.decode()
        if self._is_new(content) and self._room(1):
            whole = bool(_LETTERS.fullmatch(content)) and not written_without_spaces(token.surface)
            flags = {"single_word": whole, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
            self.added.append({"id": self.end, "content": content, **flags})
            self.known.add(content)
            self.end += 1

    def by_score(self, token: Token) -> None:
        content = self._content(token)
        if self._is_new(content):
            pieces = self.base.backend.model.tokenize(content)
            score = sum(self.entries[piece.id][1] for piece in pieces) + _MARGIN * (len(pieces) - 1)
            spelled = any(self.base.vocabulary[piece.id].byte_fallback for piece in pieces)
            unknown = any(piece.id == self.model["unk_id"] for piece in pieces)
            # A score below all others would make what is unknown score even less.
            self._append({content: self.lowest if spelled or unknown else max(score, self.lowest)})

    def by_merges(self, token: Token) -> None:
        """As an entry, and merges of what the tokenizer cuts it into now: first within characters, then from the left.

        Those of earlier tokens come first, so that later ones cannot take their parts away.
        """
        assert self.merges is not None
        content = self._content(token)
        if not self._is_new(content):
            return
        symbols = self.merges.symbols(content)
        pieces, _ = self.merges.steps(symbols)
        needed = dict.fromkeys([piece for piece in pieces if piece not in self.known], 0.0)
        pairs = []
        if _needs_merges(self.base, token):
            while len(pieces) > 1:
                i = self._next_pair(pieces)
                pairs.append((pieces[i], pieces[i + 1]))
                pieces[i : i + 2] = [self.merges.merged(*pairs[-1])]
                if pieces[i] not in self.known:
                    needed[pieces[i]] = 0.0
        needed[content] = 0.0
        if self._append(needed):
            for pair in pairs:
                self.merges.append(*pair)
                self.model["merges"].append(pair)

    def _next_pair(self, pieces: list[str]) -> int:
        """The first pair that meets inside a character (bytes beyond its first), else the first."""
        if self.spelling.byte_level:
            for i, right in enumerate(pieces[1:]):
                first = self.spelling.read(right)
                if not first.starts_word and first.surface and first.surface[0] & 0xC0 == 0x80:
                    return i
        return 0

    def _content(self, token: Token) -> str:
        starts = token.starts_word is True and not written_without_spaces(token.surface)
        content = self.spelling.write(token.surface, starts)
        assert content is not None
        return content + (self.spelling.suffix or "")

    def _is_new(self, content: str) -> bool:
        self.skipped += content in self.known
        return content not in self.known

    def _room(self, count: int) -> bool:
        return self.limit is None or self.end + count <= self.limit

    def _append(self, scores: dict[str, float]) -> bool:
        """Whether there was room for these entries, by content."""
        if not self._room(len(scores)):
            return False
        for content, score in scores.items():
            self.entries[self.end] = [content, score]
            self.end += 1
        self.known |= scores.keys()
        return True
