"""Which scheme a tag set writes its entities in."""

from collections.abc import Iterable

OUTSIDE = "O"
# What plays the part of begin, inside, end and single in each scheme.
SCHEMES = {"IOB2": "BI", "BIOES": "BIES", "BMES": "BMES", "BILOU": "BILU"}
PARTS = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S"}


def scheme_of(tags: Iterable[str]) -> str | None:
    """IOB2, BIOES, BMES or BILOU; None where the tags mark no entities (parts of speech).

    Tags are `B-PER`, `I-PER`, `O` and their like, or, as in word segmentation, the letters alone.
    """
    prefixes = set()
    for tag in tags:
        prefix, hyphen, kind = tag.partition("-")
        if tag == OUTSIDE:
            continue
        if prefix not in PARTS or (hyphen and not kind):
            return None
        prefixes.add(prefix)
    fitting = (name for name, letters in SCHEMES.items() if prefixes and prefixes <= set(letters))
    return next(fitting, None)
