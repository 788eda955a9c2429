"""Which source token each target token is: by role, by bytes and word boundary, by bytes alone, or after folding."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from lexigraft.vocab.scripts import fold_width, written_without_spaces
from lexigraft.vocab.vocabulary import UNUSED, Token, Vocabulary

TIERS = ("none", "role", "exact", "surface", "normalised")
NONE, ROLE, EXACT, SURFACE, NORMALISED = range(len(TIERS))

# A text's first and last special token go by either name; one stands in where a vocabulary lacks the other.
_EQUIVALENT = {"bos": "cls", "cls": "bos", "eos": "sep", "sep": "eos"}
# Among tokens whose boundary cannot be compared: one inside a word first, then one that knows no boundary.
_PREFERENCE = (False, None, True)
_WIDE = "Ａ".encode()

_Ids = dict[bool | None, dict[bytes, int]]  # starts_word -> surface -> id
Found = tuple[int, int]  # source id, tier


@dataclass(frozen=True, eq=False)
class Alignment:
    """`source_id` int64 [T], -1 where no source token matches, and `tier` uint8 [T], an index into `TIERS`."""

    source_id: np.ndarray
    tier: np.ndarray

    def counts(self) -> dict[str, int]:
        """Tier name -> number of target tokens."""
        return {name: int((self.tier == i).sum()) for i, name in enumerate(TIERS)}


def align(
    source: Vocabulary, target: Vocabulary, *, normalised: bool = True, pairs: Mapping[str, str] | None = None
) -> Alignment:
    """The best source token of each of the T target tokens; several target tokens may share one.

    The tiers, in order of precedence:
    - role: special tokens by what they do, never by spelling; a role that the source lacks finds nothing.
    - exact: same bytes and same word-boundary flag.
    - surface: same bytes where boundaries cannot be compared, because a side knows none (characters) or because the
      script is written without spaces: BERT's `中`, SentencePiece's `▁中` and GPT-2's `中` all mean the character.
    - normalised (only if `normalised`): same after the source's normalizer (case, accents, NFKC) and after folding
      fullwidth and halfwidth variants.

    Within a tier the same id comes first if both vocabularies have the same token there, so that a vocabulary which was
    only extended is copied row by row; then `<0xNN>` for `<0xNN>`, and for others a real token before it; then the
    lowest id. `unused` ids match only the same `unused` id, and source tokens that their tokenizer never produces only
    target tokens of that kind.

    `pairs` overrides the roles: the content of a special target token -> that of the source token it is to be, a
    special one or any other. `ValueError` for a content that is not there.
    """
    produced = _Index(source, source.unreachable)
    never_produced = _Index(source, frozenset()) if target.unreachable and source.unreachable else produced
    by_role = source.roles
    playing = _roles_by_id(target)
    source_id = np.full(len(target), -1, dtype=np.int64)
    tier = np.full(len(target), NONE, dtype=np.uint8)
    for i, (token, there) in enumerate(zip_longest(target.tokens, source.tokens[: len(target)])):
        if there is not None and there.surface == token.surface and there == token:
            found = _same_id(i, token) if (i in source.unreachable) <= (i in target.unreachable) else None
        else:
            found = None
        if found is None and token.role is None:
            index = never_produced if i in target.unreachable else produced
            found = index.find(token) or (index.find_folded(token) if normalised else None)
        elif found is None and token.role != UNUSED:
            found = _by_role(playing[i], by_role)
        if found is not None:
            source_id[i], tier[i] = found
    for i, j in _paired(source, target, pairs or {}):
        source_id[i], tier[i] = j, ROLE
    return Alignment(source_id, tier)


def _same_id(i: int, token: Token) -> Found:
    return i, EXACT if token.role in (None, UNUSED) else ROLE


def _paired(source: Vocabulary, target: Vocabulary, pairs: Mapping[str, str]) -> Iterator[tuple[int, int]]:
    """(target id, source id) of each pair of contents."""
    if not pairs:
        return
    special = _special_by_content(target)
    among = {token.surface: i for i, token in sorted(enumerate(source), key=_later_first)}
    among |= _special_by_content(source)
    for mine, theirs in pairs.items():
        if mine.encode() not in special:
            raise ValueError(f"the target has no special token {mine!r} to pair{_nearest(mine, special)}")
        if theirs.encode() not in among:
            raise ValueError(f"the source has no token {theirs!r} to pair {mine!r} with{_nearest(theirs, among)}")
        yield special[mine.encode()], among[theirs.encode()]


def _special_by_content(vocabulary: Vocabulary) -> dict[bytes, int]:
    return {t.surface: i for i, t in enumerate(vocabulary) if t.role is not None and t.role != UNUSED}


def _later_first(entry: tuple[int, Token]) -> tuple[bool, bool, int]:
    """Of tokens with one surface the last one stays in a dict: that which starts a word, and of these the first."""
    i, token = entry
    return token.starts_word is True, not token.byte_fallback, -i


def _nearest(name: str, contents: Iterable[bytes]) -> str:
    near = difflib.get_close_matches(name, [c.decode(errors="replace") for c in contents], n=3)
    return f": did you mean {' or '.join(map(repr, near))}?" if near else ""


class _Index:
    """Ordinary source tokens by surface, except those `without`: real ones before `<0xNN>`, then the lowest id."""

    def __init__(self, source: Vocabulary, without: frozenset[int]) -> None:
        self._tokens = source.tokens
        self._normalize = source.normalize
        self._ids: _Ids = {flag: {} for flag in _PREFERENCE}
        self._wide: _Ids = {flag: {} for flag in _PREFERENCE}  # those that folding their width changes, by the result
        byte_pieces = []
        for i, token in enumerate(source.tokens):
            if token.role is not None or i in without:
                continue
            if token.byte_fallback:
                byte_pieces.append(i)
                continue
            self._add(i, *_key(token))
        self._byte_pieces = {_key(source.tokens[i]): i for i in reversed(byte_pieces)}
        for i in byte_pieces:
            self._add(i, *_key(source.tokens[i]))

    def _add(self, i: int, surface: bytes, starts_word: bool | None) -> None:
        self._ids[starts_word].setdefault(surface, i)
        if (narrow := _narrow(surface)) != surface:
            self._wide[starts_word].setdefault(narrow, i)

    def find(self, token: Token) -> Found | None:
        """The source token with the same bytes."""
        surface, starts_word = _key(token)
        if token.byte_fallback and (i := self._byte_pieces.get((surface, starts_word))) is not None:
            return i, EXACT
        if (i := self._ids[starts_word].get(surface)) is not None:
            return i, EXACT
        return self._best(self._ids, surface, starts_word, (surface,))

    def find_folded(self, token: Token) -> Found | None:
        """The source token that the source's normalizer or the folding of widths makes the same."""
        surface, starts_word = _key(token)
        folded = surface
        if self._normalize is not None and (text := _text(surface)) is not None:
            folded = self._normalize(text).encode()
        folded = _narrow(folded)
        if not folded.strip():  # a mark that the normalizer drops, or white space of another kind
            return None
        found = None if folded == surface else self._best(self._ids, folded, starts_word, (surface, folded))
        if found is None:  # the source has only the wide form, whose marks and letters stand without spaces
            found = self._best(self._wide, folded, starts_word, (_WIDE,))
        return None if found is None else (found[0], NORMALISED)

    def _best(self, ids: _Ids, wanted: bytes, starts_word: bool | None, written: tuple[bytes, ...]) -> Found | None:
        """The token with the same boundary flag, else the preferred one among those that cannot be compared.

        Boundaries cannot be compared if one of the forms `written` belongs to a script without spaces.
        """
        candidates = {flag: i for flag, by_surface in ids.items() if (i := by_surface.get(wanted)) is not None}
        if not candidates:
            return None
        if starts_word in candidates:
            return candidates[starts_word], EXACT
        if starts_word is None or any(map(written_without_spaces, written)):
            # The flags come in the order of preference.
            return min(candidates.values(), key=lambda i: self._tokens[i].byte_fallback), SURFACE
        return (candidates[None], SURFACE) if None in candidates else None


def _key(token: Token) -> tuple[bytes, bool | None]:
    """Surface and flag, a space inside the surface read as the boundary that it is: `<0x20>` equals `Ġ` and `▁`."""
    if token.starts_word is False and token.surface.startswith(b" "):
        return token.surface[1:], True
    return token.surface, token.starts_word


def _text(surface: bytes) -> str | None:
    try:
        return surface.decode()
    except UnicodeDecodeError:
        return None


def _narrow(surface: bytes) -> bytes:
    """The surface with fullwidth and halfwidth forms folded."""
    if b"\xef" not in surface and b"\xe3\x80\x80" not in surface:  # the bytes with which such forms begin
        return surface
    text = _text(surface)
    return surface if text is None else fold_width(text).encode()


def _roles_by_id(vocabulary: Vocabulary) -> dict[int, list[str]]:
    """Id -> the roles that the token plays, the main one first."""
    playing = {i: [t.role] for i, t in enumerate(vocabulary) if t.role is not None and t.role != UNUSED}
    for role, i in vocabulary.further_roles:
        playing[i].append(role)
    return playing


def _by_role(playing: list[str], source_roles: dict[str, int]) -> Found | None:
    """The source token of the first of these roles that the source has, equivalents after all of them."""
    for role in (*playing, *(_EQUIVALENT[r] for r in playing if r in _EQUIVALENT)):
        if role in source_roles:
            return source_roles[role], ROLE
    return None
