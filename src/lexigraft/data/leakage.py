"""What splits share: texts of one that also stand, or nearly stand, in another."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lexigraft.data.near_duplicates import near_pairs
from lexigraft.data.text_data import Label, Split, TextData

NEAR = 0.8
SIDES = (("dev", "train"), ("test", "train"), ("test", "dev"))


def with_leakage(data: TextData, near: float | None = NEAR) -> TextData:
    """The data set with `leakage` in its report."""
    return replace(data, report=data.report | {"leakage": leakage(data, near)})


def leakage(data: TextData, near: float | None = NEAR) -> dict[str, Any]:
    """How many different texts of dev and test stand in another split too, in plain values.

    For each of `dev_in_train`, `test_in_train` and `test_in_dev`: `texts`, the different texts of the first split;
    `shared`, those that the second holds too; `same_label`, those of them that have a label there which they have here;
    `near`, further ones that, white space apart, are of a Jaccard similarity of at least `near` to one of the second,
    by character 4-grams; and `near_same_label`. With `near` None, nothing is nearly shared. Of pairs, both texts
    together count as one.
    """
    if near is not None and not 0 < near <= 1:
        raise ValueError(
            f"leakage is {near}; a similarity above 0 and up to 1 is expected, such as 0.8, or null to count equal "
            "texts alone"
        )
    number_of: dict[str, int] = {}
    sides = {name: _Side.of(split, number_of) for name, split in data.splits().items()}
    one, other = np.empty((2, 0), np.int64)
    if near is not None:
        one, other, _ = near_pairs(list(number_of), near)
    every = range(len(number_of) if near is not None else 0)
    pairs = [*zip(one.tolist(), other.tolist()), *zip(other.tolist(), one.tolist()), *zip(every, every)]
    return {"similarity": near} | {f"{a}_in_{b}": _shared(sides[a], sides[b], pairs) for a, b in SIDES}


@dataclass(frozen=True)
class _Side:
    """A split's different texts with their labels; and its texts without white space, by number, with theirs."""

    texts: dict[tuple[str, str], set[Label]]
    bare: dict[int, set[Label]]
    number: dict[tuple[str, str], int]

    @classmethod
    def of(cls, split: Split, number_of: dict[str, int]) -> "_Side":
        side = cls({}, {}, {})
        for row, label in zip(split.rows(), split.labels):
            whole = "".join("".join(row).split())
            number = side.number[row] = number_of.setdefault(whole, len(number_of))
            side.texts.setdefault(row, set()).add(label)
            side.bare.setdefault(number, set()).add(label)
        return side


def _shared(here: _Side, there: _Side, pairs: Sequence[tuple[int, int]]) -> dict[str, int]:
    near: dict[int, set[Label]] = {}  # a text of this side -> the labels of what is near it on the other
    for i, j in pairs:
        if i in here.bare and j in there.bare:
            near.setdefault(i, set()).update(there.bare[j])
    shared = [text for text in here.texts if text in there.texts]
    close = [text for text in here.texts if text not in there.texts and here.number[text] in near]
    return {
        "texts": len(here.texts),
        "shared": len(shared),
        "same_label": sum(not here.texts[text].isdisjoint(there.texts[text]) for text in shared),
        "near": len(close),
        "near_same_label": sum(not here.texts[text].isdisjoint(near[here.number[text]]) for text in close),
    }
