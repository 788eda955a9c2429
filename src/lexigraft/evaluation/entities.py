"""Entities in tagged texts, and how many of them were found: CoNLL's measure (Tjong Kim Sang & Buchholz 2000).

Tags are `B-PER`, `I-PER` and `O` (IOB2; IOB1 is read as well), `BIOES`, `BMES` or `BILOU`, with a type after a hyphen
or, as in word segmentation, without one. Counted as CoNLL's own `conlleval` does: an entity is found if its type and
both of its ends are right, and a tag that cannot follow the one before it begins an entity.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from lexigraft.data.tag_scheme import OUTSIDE, PARTS

Entity = tuple[str, int, int]  # type, first unit, last unit

UNTYPED = "word"  # the type of `B`, `M`, `E` and `S` alone
_DECIMALS = 6


def entities(tags: Sequence[str | None]) -> set[Entity]:
    """The entities of one text; None is a tag that was not given, and is outside of all."""
    found: set[Entity] = set()
    begun: tuple[str, int] | None = None
    before = (OUTSIDE, "")
    for i, tag in enumerate([*tags, OUTSIDE]):
        part, kind = now = _parts(tag)
        goes_on = part in "IE" and before[0] in "BI" and kind == before[1]
        if begun is not None and not goes_on:
            found.add((*begun, i - 1))
            begun = None
        if part != OUTSIDE and not goes_on:
            begun = (kind, i)
        before = now
    return found


def entity_scores(true: Sequence[Sequence[str]], predicted: Sequence[Sequence[str | None]]) -> dict[str, Any]:
    """precision, recall and f1 over all entities, and per_type {type: {precision, recall, f1, support}}.

    Precision is None where nothing was predicted, recall where there is nothing to find; f1 is None only where there
    is neither.
    """
    right, wanted, given = Counter[str](), Counter[str](), Counter[str]()
    for of_text, said in zip(true, predicted, strict=True):
        assert len(of_text) == len(said)
        there, told = entities(of_text), entities(said)
        right.update(kind for kind, _, _ in there & told)
        wanted.update(kind for kind, _, _ in there)
        given.update(kind for kind, _, _ in told)
    per_type = {
        kind: {**_scores(right[kind], wanted[kind], given[kind]), "support": wanted[kind]}
        for kind in sorted(wanted | given)
    }
    return {**_scores(right.total(), wanted.total(), given.total()), "per_type": per_type, "entities": wanted.total()}


def _parts(tag: str | None) -> tuple[str, str]:
    if tag is None or tag == OUTSIDE:
        return OUTSIDE, ""
    prefix, _, kind = tag.partition("-")
    return PARTS[prefix], kind or UNTYPED


def _scores(right: int, wanted: int, given: int) -> dict[str, float | None]:
    return {
        "precision": round(right / given, _DECIMALS) if given else None,
        "recall": round(right / wanted, _DECIMALS) if wanted else None,
        "f1": round(2 * right / (wanted + given), _DECIMALS) if wanted + given else None,
    }
