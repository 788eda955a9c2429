"""Texts in given units (words or characters to be tagged) to ids, and which token begins which unit."""

from collections.abc import Sequence

from lexigraft.vocab.pairs import bare_ids
from lexigraft.vocab.scripts import written_without_spaces
from lexigraft.vocab.tokenizer import Tokenizer


def encode_units(
    tokenizer: Tokenizer, texts: Sequence[Sequence[str]], max_tokens: int | None = None
) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids of each text, special tokens included, and per token the unit whose first token it is, else -1.

    No token reaches over two units, and a unit is spelt as in running text: with the mark of a word's start where its
    script puts a space before it. A bare such mark is not counted as the first token. Units beyond `max_tokens`, and
    those of which the tokenizer leaves nothing (control characters), have no token. A segmenter is not asked.
    `ValueError` if `max_tokens` leaves no room beside the special tokens.
    """
    before, after = tokenizer.around
    special = len(before) + len(after)
    if max_tokens is not None and max_tokens <= special:
        raise ValueError(
            f"max_tokens is {max_tokens}, but this tokenizer puts {special} special tokens around every text: "
            f"give {special + 1} or more"
        )
    spell = _Spelling(tokenizer, {unit for text in texts for unit in text})
    all_ids, all_units = [], []
    for text in texts:
        ids, units = list(before), [-1] * len(before)
        for number, (left, unit) in enumerate(zip(["", *text], text)):
            pieces, first = spell.inside(left, unit) if number else spell.at_the_start(unit)
            ids += pieces
            units += [number if i == first else -1 for i in range(len(pieces))]
        if max_tokens is not None:
            ids, units = ids[: max_tokens - len(after)], units[: max_tokens - len(after)]
        ids += after
        all_ids.append(ids or [tokenizer.stand_in])
        all_units.append(units + [-1] * (len(all_ids[-1]) - len(units)))
    return all_ids, all_units


def running_text(units: Sequence[str]) -> str:
    """The units as they would be written, with a space between two that do not belong to scripts without spaces."""
    parts = [f" {unit}" if left and _spaced(left, unit) else unit for left, unit in zip(["", *units], units)]
    return "".join(parts)


Pieces = tuple[list[int], int]  # ids, and which of them is the first that is more than a mark


class _Spelling:
    """The pieces of every unit, as it begins a text, follows a space, or follows another unit without one."""

    def __init__(self, tokenizer: Tokenizer, units: set[str]) -> None:
        self._tokens = tokenizer.vocabulary
        ordered = sorted(units)
        # Without a segmenter: it would cut the units.
        plain = Tokenizer(tokenizer.backend, tokenizer.vocabulary)
        alone = bare_ids(plain, ordered)
        after_space = alone
        one, two, both, marked = bare_ids(plain, ["a", "b", "a b", " b"])
        if one + two != both and one + marked == both:  # GPT-2: only a space makes the start of a word
            after_space = bare_ids(plain, [f" {unit}" for unit in ordered])
        self._alone = {unit: self._marked(ids) for unit, ids in zip(ordered, alone)}
        self._after_space = {unit: self._marked(ids) for unit, ids in zip(ordered, after_space)}

    def at_the_start(self, unit: str) -> Pieces:
        return self._alone[unit]

    def inside(self, left: str, unit: str) -> Pieces:
        if _spaced(left, unit):
            return self._after_space[unit]
        ids, first = self._alone[unit]
        return ids[first:], 0  # SentencePiece begins every text with a mark, which does not stand here

    def _marked(self, ids: list[int]) -> Pieces:
        for i, token in enumerate(ids):
            entry = self._tokens[token]
            if entry.role is not None or entry.surface.strip():
                return ids, i
        return ids, 0


def _spaced(left: str, right: str) -> bool:
    return not (written_without_spaces(left[-1].encode()) or written_without_spaces(right[0].encode()))
