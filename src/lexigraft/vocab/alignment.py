"""Which source token each target token is: by role, by bytes and word boundary, by bytes alone, or after folding."""

from dataclasses import dataclass

import numpy as np

from lexigraft.vocab.scripts import fold_width, written_without_spaces
from lexigraft.vocab.vocabulary import UNUSED, Token, Vocabulary

TIERS = ("none", "role", "exact", "surface", "normalised")
NONE, ROLE, EXACT, SURFACE, NORMALISED = range(len(TIERS))

# A text's first and last special token go by either name; one stands in where a vocabulary lacks the other.
_EQUIVALENT = {"bos": "cls", "cls": "bos", "eos": "sep", "sep": "eos"}
# Among tokens whose boundary cannot be compared: one inside a word first, then one that knows no boundary.
_PREFERENCE = {False: 0, None: 1, True: 2}

_Candidates = dict[bool | None, tuple[bool, int]]  # starts_word -> (is it `<0xNN>`, id), the smallest of its kind
Found = tuple[int, int]  # source id, tier


@dataclass(frozen=True, eq=False)
class Alignment:
    """`source_id` int64 [T], -1 where no source token matches, and `tier` uint8 [T], an index into `TIERS`."""

    source_id: np.ndarray
    tier: np.ndarray

    def counts(self) -> dict[str, int]:
        """Tier name -> number of target tokens."""
        return {name: int((self.tier == i).sum()) for i, name in enumerate(TIERS)}


def align(source: Vocabulary, target: Vocabulary, *, normalised: bool = True) -> Alignment:
    """The best source token of each of the T target tokens; several target tokens may share one.

    The tiers, in order of precedence:
    - role: special tokens by what they do, never by spelling; a role that the source lacks finds nothing.
    - exact: same bytes and same word-boundary flag.
    - surface: same bytes where boundaries cannot be compared, because a side knows none (characters) or because the
      script is written without spaces: BERT's `中`, SentencePiece's `▁中` and GPT-2's `中` all mean the character.
    - normalised (only if `normalised`): same after the source's normalizer (case, accents, NFKC) and after folding
      fullwidth and halfwidth variants.

    Within a tier the same id comes first if both vocabularies have the same token there, so that a vocabulary which was
    only extended is copied row by row; then a real token before a `<0xNN>` one, then the lowest id. `unused` ids match
    nothing, and source tokens that their tokenizer never produces match only target tokens of that kind.
    """
    produced = _Index(source, source.unreachable)
    never_produced = _Index(source, frozenset()) if target.unreachable and source.unreachable else produced
    by_role = source.roles
    playing = _roles_by_id(target)
    source_id = np.full(len(target), -1, dtype=np.int64)
    tier = np.full(len(target), NONE, dtype=np.uint8)
    for i, token in enumerate(target):
        if token.role == UNUSED:
            continue
        if token.role is not None:
            found = _by_role(playing[i], by_role)
        else:
            index = never_produced if i in target.unreachable else produced
            if i < len(source) and source[i] == token and (i in source.unreachable) <= (i in target.unreachable):
                found = (i, EXACT)
            else:
                found = index.find(token) or (index.find_folded(token) if normalised else None)
        if found is not None:
            source_id[i], tier[i] = found
    return Alignment(source_id, tier)


class _Index:
    """Ordinary source tokens by surface, except those `without`."""

    def __init__(self, source: Vocabulary, without: frozenset[int]) -> None:
        self._normalize = source.normalize
        self._by_surface: dict[bytes, _Candidates] = {}
        self._by_width: dict[bytes, _Candidates] = {}  # only surfaces that folding their width changes
        for i, token in enumerate(source):
            if token.role is not None or i in without:
                continue
            surface, starts_word = _key(token)
            candidate = (token.byte_fallback, i)
            _keep_smaller(self._by_surface.setdefault(surface, {}), starts_word, candidate)
            text = _text(surface)
            if text is not None and (narrow := fold_width(text)) != text:
                _keep_smaller(self._by_width.setdefault(narrow.encode(), {}), starts_word, candidate)

    def find(self, token: Token) -> Found | None:
        """The source token with the same bytes."""
        surface, starts_word = _key(token)
        return _best(self._by_surface.get(surface), starts_word, written_without_spaces(surface))

    def find_folded(self, token: Token) -> Found | None:
        """The source token that the source's normalizer or the folding of widths makes the same."""
        surface, starts_word = _key(token)
        text = _text(surface)
        if text is None:
            return None
        folded = fold_width(text if self._normalize is None else self._normalize(text)).encode()
        if not folded.strip():  # a mark that the normalizer drops, or white space of another kind
            return None
        spaceless = written_without_spaces(surface) or written_without_spaces(folded)
        found = _best(self._by_surface.get(folded), starts_word, spaceless)
        if found is None:  # the source has only the wide form
            found = _best(self._by_width.get(folded), starts_word, starts_without_spaces=True)
        return None if found is None else (found[0], NORMALISED)


def _keep_smaller(candidates: _Candidates, starts_word: bool | None, candidate: tuple[bool, int]) -> None:
    if starts_word not in candidates or candidate < candidates[starts_word]:
        candidates[starts_word] = candidate


def _best(candidates: _Candidates | None, starts_word: bool | None, starts_without_spaces: bool) -> Found | None:
    """The candidate with the same boundary flag, else the preferred one among those that cannot be compared."""
    if candidates is None:
        return None
    if starts_word in candidates:
        return candidates[starts_word][1], EXACT
    if starts_word is None or starts_without_spaces:
        flag = min(candidates, key=lambda flag: (candidates[flag][0], _PREFERENCE[flag]))
        return candidates[flag][1], SURFACE
    return (candidates[None][1], SURFACE) if None in candidates else None


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
