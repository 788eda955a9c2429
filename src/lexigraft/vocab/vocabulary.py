"""What a token is, whatever tokenizer wrote it: its bytes, whether it starts a word, and its role."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

ROLES = ("pad", "unk", "bos", "eos", "cls", "sep", "mask")
UNUSED = "unused"


@dataclass(frozen=True, slots=True)
class Token:
    """One vocabulary entry in tokenizer-independent form.

    `surface` is the UTF-8 text (or part of a character) that the token stands for, without any boundary mark.
    `starts_word` is True for `Ġthe`, `▁the` and WordPiece's `the`, False for `##the` and GPT-2's `the`,
    None where the tokenizer knows no word boundary: characters, and the marks and Han characters that BERT isolates.
    `role` is None for ordinary tokens, one of `ROLES`, `special:<content>` for any other special token, or
    `unused` for an id that no token claims (padded vocabularies).
    `byte_fallback` marks SentencePiece's `<0xNN>`.
    """

    surface: bytes
    starts_word: bool | None
    role: str | None = None
    byte_fallback: bool = False

    @property
    def text(self) -> str:
        """The surface of an ordinary token, "" for special tokens and where it is no whole characters."""
        if self.role is not None:
            return ""
        try:
            return self.surface.decode()
        except UnicodeDecodeError:
            return ""


@dataclass(frozen=True)
class Vocabulary:
    """Tokens by id, and what the tokenizer does to text before and while it looks them up.

    `normalize` folds a text as the tokenizer's normalizer would (case, accents, NFKC); None: it leaves text alone.
    `segment` splits an ordinary token's surface into ids of this vocabulary, `[]` where it cannot; None: unknown.
    `further_roles` holds (role, id) for tokens that play more than the one role that `Token.role` names:
    RoBERTa's `<s>` is bos and cls, GPT-2's `<|endoftext|>` is eos and bos.
    `unreachable` holds the ids of entries that the tokenizer never produces, so that their rows were never trained:
    BERT's `##中`, since every Han character is cut off from what stands before it, and its `...`, of which it makes
    three.
    """

    tokens: tuple[Token, ...]
    normalize: Callable[[str], str] | None = field(default=None, compare=False, repr=False)
    segment: Callable[[Token], list[int]] | None = field(default=None, compare=False, repr=False)
    further_roles: tuple[tuple[str, int], ...] = ()
    unreachable: frozenset[int] = frozenset()

    @classmethod
    def of_words(cls, words: Iterable[str], roles: dict[str, str] | None = None) -> "Vocabulary":
        """The vocabulary of a list of whole words; `roles` maps the special ones, e.g. `{"<unk>": "unk"}`."""
        roles = roles or {}
        return cls(tuple(Token(w.encode(), True, roles.get(w)) for w in words))

    def __len__(self) -> int:
        return len(self.tokens)

    def __iter__(self) -> Iterator[Token]:
        return iter(self.tokens)

    def __getitem__(self, index: int) -> Token:
        return self.tokens[index]

    @cached_property
    def ordinary(self) -> np.ndarray:
        """Bool [V], read-only: tokens that stand for text, neither special nor `unused`."""
        found = np.array([token.role is None for token in self.tokens], dtype=bool)
        found.flags.writeable = False
        return found

    @cached_property
    def roles(self) -> dict[str, int]:
        """Role -> id of the token that plays it; a token that plays nothing else comes first, then the lowest id."""
        found: dict[str, int] = {}
        for i, token in enumerate(self.tokens):
            if token.role is not None and token.role != UNUSED:
                found.setdefault(token.role, i)
        for role, i in self.further_roles:
            found.setdefault(role, i)
        return found

    def segment_all(self, tokens: Sequence[Token]) -> list[list[int]]:
        """`segment` for each token, in one go where the tokenizer can; `[]` for all where it is unknown."""
        if self.segment is None:
            return [[] for _ in tokens]
        in_one_go: Callable[[Sequence[Token]], list[list[int]]] | None = getattr(self.segment, "all", None)
        return [self.segment(t) for t in tokens] if in_one_go is None else in_one_go(tokens)

    def fingerprint(self) -> str:
        """SHA-256 over every token: equal for two vocabularies exactly when their tokens are equal, in order."""
        digest = hashlib.sha256()
        for t in self.tokens:
            digest.update(repr((t.surface, t.starts_word, t.role, t.byte_fallback)).encode())
        digest.update(repr(self.further_roles).encode())
        return digest.hexdigest()


def first_ids(tokens: Sequence[Token]) -> dict[tuple[bytes, bool | None], int]:
    """(surface, starts_word) -> lowest id among ordinary tokens; a real token wins over a `<0xNN>` one."""
    found: dict[tuple[bytes, bool | None], int] = {}
    for fallback in (False, True):
        for i, t in enumerate(tokens):
            if t.role is None and t.byte_fallback is fallback:
                found.setdefault((t.surface, t.starts_word), i)
    return found
