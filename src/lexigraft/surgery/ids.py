"""Token ids of a config on another vocabulary: by role first, then through the tokens themselves."""

from collections.abc import Iterable
from functools import cached_property

import numpy as np

from lexigraft.vocab.alignment import SURFACE, align
from lexigraft.vocab.vocabulary import UNUSED, Vocabulary

# One stands in where a vocabulary lacks the other.
_EQUIVALENT = {"bos": "cls", "cls": "bos", "eos": "sep", "sep": "eos"}


def real_tokens(vocabulary: Vocabulary) -> int:
    """The number of tokens without the `unused` ids at the end (rows that only pad a matrix)."""
    count = len(vocabulary)
    while count and vocabulary[count - 1].role == UNUSED:
        count -= 1
    return count


def extends(source: Vocabulary, target: Vocabulary) -> bool:
    """True where the target begins with all the source's tokens at their ids, so that every old id still holds."""
    real = real_tokens(source)
    return target.tokens[:real] == source.tokens[:real]


class NewIds:
    """Where ids of `source` are found in `target`; None where the target has nothing for them."""

    def __init__(self, source: Vocabulary, target: Vocabulary) -> None:
        self.source, self.target = source, target
        self.same = extends(source, target) and real_tokens(source) == len(target)
        self._unchanged = real_tokens(source) if extends(source, target) else 0

    def of_role(self, role: str, old: int | None) -> int | None:
        """The target's token for a role that `old` plays in the source's config (None: nothing does)."""
        if old is not None and 0 <= old < self._unchanged:
            return old
        if role in self.target.roles:
            return self.target.roles[role]
        found = None if old is None else self.of_token(old)
        return self.target.roles.get(_EQUIVALENT.get(role, "")) if found is None else found

    def of_roles(self, role: str, old: Iterable[int]) -> list[int]:
        """`eos_token_id: [1, 2]` element by element, each once; those that the target lacks are left out."""
        found = [self.of_role(role, i) if role in self._playing(i) else self.of_token(i) for i in old]
        return list(dict.fromkeys(i for i in found if i is not None))

    def of_token(self, old: int) -> int | None:
        """The target token that plays a role of this token, or is the same text; the best of several."""
        every = self.all_of(old)
        return every[0] if every else None

    def all_of(self, old: int) -> list[int]:
        """Every target token that the source token `old` is the match of, the best first."""
        if 0 <= old < self._unchanged:
            return [old]
        roles = self._playing(old)
        for role in (*roles, *(_EQUIVALENT[r] for r in roles if r in _EQUIVALENT)):
            if role in self.target.roles:
                return [self.target.roles[role]]
        return [] if roles else self._same_text.get(old, [])

    def _playing(self, old: int) -> list[str]:
        """Roles of a source token, the main one first; none for an id beyond the vocabulary."""
        if not 0 <= old < len(self.source):
            return []
        role = self.source[old].role
        main = [] if role is None or role == UNUSED else [role]
        return main + [r for r, i in self.source.further_roles if i == old]

    @cached_property
    def _same_text(self) -> dict[int, list[int]]:
        alignment = align(self.source, self.target, normalised=False)
        found: dict[int, list[int]] = {}
        order = np.lexsort((np.arange(len(self.target)), alignment.tier))
        for i in order[(alignment.source_id[order] >= 0) & (alignment.tier[order] <= SURFACE)]:
            found.setdefault(int(alignment.source_id[i]), []).append(int(i))
        return found
