"""Texts repaired, and training texts that say nothing new left out; all of it counted."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from lexigraft.data.near_duplicates import near_pairs
from lexigraft.data.repair import half_width, one_space, simplified, without_control, without_html
from lexigraft.data.splits import count_classes
from lexigraft.data.text_data import Split, TextData

Repair = Callable[[str], str]
Row = tuple[str, str]  # the text, and the second one of a pair or nothing
SIMPLIFIED = "simplified"


@dataclass(frozen=True)
class Cleaning:
    """What is done to a data set before anything else sees it.

    `control`, `html`, `white_space` and `simplified` switch the functions of `repair` on; `half_width` is "none",
    "letters" or "all" (see there). All splits are repaired alike. Only from train are rows taken away:
    `drop_duplicates` those whose text stood there before with the same label, `drop_conflicting` all those whose text
    stands there under several labels, `drop_shared` those whose text stands in dev or test too; and, at the Jaccard
    similarity that `near_duplicates` and `near_shared` give, those that nearly repeat an earlier row of train, or one
    of dev or test.
    """

    control: bool = False
    html: bool = False
    half_width: Literal["none", "letters", "all"] = "none"
    white_space: bool = False
    simplified: bool = False
    drop_duplicates: bool = False
    drop_conflicting: bool = False
    drop_shared: bool = False
    near_duplicates: float | None = None
    near_shared: float | None = None

    def __post_init__(self) -> None:
        for name in ("near_duplicates", "near_shared"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= 1:
                raise ValueError(
                    f"cleaning.{name} is {value}; a similarity above 0 and up to 1 is expected, such as 0.8, or null"
                )

    def __call__(self, data: TextData) -> TextData:
        """The cleaned data set, with counts in `report["cleaning"]`.

        `ValueError` where no training text is left, or where a unit of a tagged text would be lost or split.
        """
        repaired: dict[str, dict[str, int]] = {}
        splits = {}
        for name, split in data.splits().items():
            repaired[name] = dict.fromkeys(self._repairs(), 0)
            splits[name] = self.split(split, data.kind, f"data {data.name}, {name}", repaired[name])
        train, counts = self._dropped(splits)
        if not len(train):
            raise ValueError(f"data {data.name}: cleaning leaves no training text; switch one of cleaning.drop_* off")
        splits["train"] = train
        report = data.report | {
            "cleaning": {"repaired": repaired} | counts,
            "splits": count_classes(splits, data.classes),
        }
        return replace(data, train=train, dev=splits["dev"], test=splits["test"], report=report)

    def text(self, text: str, kind: str = "class") -> str:
        """One text, repaired as those of the data set were; `kind` is that of its labels (see `text_data.KINDS`).

        `ValueError` where a unit of a text of the kind "tags" would be lost or split.
        """
        return self._text(text, self._repairs(), kind, {})

    def split(
        self, split: Split, kind: str = "class", where: str = "the texts", counts: dict[str, int] | None = None
    ) -> Split:
        """Every text of a split repaired, none left out; how many each repair changed is added to `counts`.

        `where` names the split in the `ValueError` where a unit of a text of the kind "tags" would be lost or split.
        """
        repairs, counts = self._repairs(), {} if counts is None else counts
        texts = []
        for number, text in enumerate(split.texts, start=1):
            try:
                texts.append(self._text(text, repairs, kind, counts))
            except ValueError as error:
                raise ValueError(f"{where}, text {number}: {error}") from None
        second = None if split.second is None else [self._text(text, repairs, kind, counts) for text in split.second]
        return replace(split, texts=texts, second=second)

    def _repairs(self) -> dict[str, Repair]:
        """What is done to characters, by name, in order."""
        width = self.half_width
        every: dict[str, tuple[bool, Repair]] = {
            "control": (self.control, without_control),
            "half_width": (width != "none", lambda text: half_width(text, width)),
            "html": (self.html, without_html),
            "white_space": (self.white_space, one_space),
            SIMPLIFIED: (self.simplified, simplified),
        }
        return {name: repair for name, (wanted, repair) in every.items() if wanted}

    def _text(self, text: str, repairs: dict[str, Repair], kind: str, counts: dict[str, int]) -> str:
        if kind != "tags" or not text:
            return _applied(text, repairs, counts)
        units = []
        for unit in text.split(" "):
            repaired = _applied(unit, repairs, counts)
            if not repaired or " " in repaired or len(repaired.split()) != 1:
                raise ValueError(
                    f"cleaning makes {repaired!r} of the unit {unit!r}, so that units and tags would no longer go "
                    "together; switch that repair off or change the unit in the file"
                )
            units.append(repaired)
        return " ".join(units)

    def _dropped(self, splits: dict[str, Split]) -> tuple[Split, dict[str, Any]]:
        """Train without the rows that are not wanted there, and how many rows each reason cost."""
        train = splits["train"]
        rows = train.rows()
        elsewhere = splits["dev"].rows() + splits["test"].rows()
        labels_of: dict[tuple[str, str], set[Any]] = defaultdict(set)
        for row, label in zip(rows, train.labels):
            labels_of[row].add(label)
        conflicting = np.array([len(labels_of[row]) > 1 for row in rows])
        kept = np.array([bool(text) for text, _ in rows])
        dropped = {"empty": int((~kept).sum())}

        def drop(reason: str, marked: np.ndarray) -> None:
            dropped[reason] = int((marked & kept).sum())
            kept[marked] = False

        if self.drop_conflicting:
            drop("under_several_labels", conflicting)
        if self.drop_shared:
            shared = set(elsewhere)
            drop("shared_with_dev_or_test", np.array([row in shared for row in rows]))
        if self.drop_duplicates:
            drop("duplicates", _repeated(train, kept))
        if self.near_shared is not None:
            drop("near_dev_or_test", _near_others(rows, elsewhere, self.near_shared))
        if self.near_duplicates is not None:
            drop("near_duplicates", _near_earlier(rows, kept, self.near_duplicates))
        counts = {
            "dropped_from_train": dropped,
            "train_under_several_labels": int((conflicting & kept).sum()),
            "emptied_dev_or_test": sum(not text for text, _ in elsewhere),
        }
        return (train if kept.all() else train.take(np.flatnonzero(kept).tolist())), counts


def _applied(text: str, repairs: dict[str, Repair], counts: dict[str, int]) -> str:
    """The text after every repair, again and again while one makes work for another: `&#65281;`, `＜br＞`."""
    changed = set[str]()
    before = None
    while text != before:
        before = text
        for name, repair in repairs.items():
            # Once is enough for what nothing else brings back, and of OpenCC's tables it is not known that they settle.
            if name == SIMPLIFIED and name in changed:
                continue
            repaired = repair(text)
            if repaired != text:
                changed.add(name)
                text = repaired
    for name in changed:
        counts[name] = counts.get(name, 0) + 1
    return text


def _repeated(train: Split, kept: np.ndarray) -> np.ndarray:
    """Rows of train that repeat an earlier row that is kept, label included."""
    seen = set[Any]()
    repeats = np.zeros(len(train), bool)
    for i, row in enumerate(zip(train.rows(), train.labels)):
        if kept[i]:
            repeats[i] = row in seen
            seen.add(row)
    return repeats


def _near_others(rows: Sequence[Row], others: Sequence[Row], jaccard: float) -> np.ndarray:
    """Which rows equal or are near one of the others."""
    texts, number = _distinct([*others, *rows])
    is_other = np.zeros(len(texts), bool)
    is_other[number[: len(others)]] = True
    first, second, _ = near_pairs(texts, jaccard)
    near = is_other.copy()
    near[first[is_other[second]]] = True
    near[second[is_other[first]]] = True
    return near[number[len(others) :]]


def _near_earlier(rows: Sequence[Row], kept: np.ndarray, jaccard: float) -> np.ndarray:
    """Which kept rows equal or are near an earlier one that stays."""
    places = np.flatnonzero(kept)
    texts, number = _distinct([rows[i] for i in places.tolist()])
    first, second, _ = near_pairs(texts, jaccard)
    gone = np.zeros(len(texts), bool)
    # By the later text, so that it is settled of the earlier one whether it stays.
    for later, earlier in sorted(zip(np.maximum(first, second).tolist(), np.minimum(first, second).tolist())):
        gone[later] |= not gone[earlier]
    repeats = np.ones(len(places), bool)
    repeats[np.unique(number, return_index=True)[1]] = False
    marked = np.zeros(len(rows), bool)
    marked[places[gone[number] | repeats]] = True
    return marked


def _distinct(rows: Sequence[Row]) -> tuple[list[str], np.ndarray]:
    """The different texts of some rows, white space apart, in order, and which of them each row has, int64 `[N]`."""
    number_of: dict[str, int] = {}
    whole = ("".join(f"{text}{second}".split()) for text, second in rows)
    numbers = [number_of.setdefault(text, len(number_of)) for text in whole]
    return list(number_of), np.array(numbers, np.int64)
