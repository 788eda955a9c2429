"""How a tokenizer cuts numbers: a model that calculates depends on it."""

from lexigraft.vocab.tokenizer import Tokenizer
from lexigraft.vocab.vocabulary import Vocabulary

SINGLE, GROUPS, ARBITRARY = "single digits", "groups of up to three digits", "pieces of any length"

_NUMBERS = (
    "12",
    "42",
    "100",
    "365",
    "999",
    "1984",
    "2008",
    "2019",
    "2026",
    "10000",
    "86420975",
    "1234567",
    "2718281828",
)


def digit_scheme(tokenizer: Tokenizer | None, vocabulary: Vocabulary) -> str | None:
    """`SINGLE`, `GROUPS` or `ARBITRARY`, None for a vocabulary that cannot write numbers.

    Read off the pieces of a few numbers; without a tokenizer, off the vocabulary's entries alone.
    """
    if tokenizer is None:
        return _of_entries(vocabulary)
    cuts = [_lengths(ids, number, tokenizer.vocabulary) for ids, number in zip(tokenizer.encode(_NUMBERS), _NUMBERS)]
    known = [cut for cut in cuts if cut]
    if not known:
        return None
    if all(set(cut) == {1} for cut in known):
        return SINGLE
    return GROUPS if len(known) == len(cuts) and all(_in_threes(cut) for cut in cuts) else ARBITRARY


def _lengths(ids: list[int], number: str, vocabulary: Vocabulary) -> list[int]:
    """Digits of each piece of a number, `[]` where the pieces do not spell it."""
    pieces = [vocabulary[i].surface for i in ids if vocabulary[i].role is None]
    pieces = [piece for piece in pieces if piece.strip()]  # a bare boundary
    return [len(piece) for piece in pieces] if b"".join(pieces) == number.encode() else []


def _in_threes(cut: list[int]) -> bool:
    """Threes from the left or from the right, the rest in one shorter piece at the other end."""
    return any(set(part[:-1]) <= {3} and part[-1] <= 3 for part in (cut, cut[::-1]))


def _of_entries(vocabulary: Vocabulary) -> str | None:
    numbers = {token.surface for token in vocabulary if token.role is None and token.surface.isdigit()}
    longest = max(map(len, numbers), default=0)
    if longest <= 1:
        return SINGLE if longest else None
    return GROUPS if longest == 3 and all(b"%d" % n in numbers for n in range(100, 1000)) else ARBITRARY
