"""Further wordings of the training texts, made once, before anything is encoded."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from lexigraft.data.splits import count_classes
from lexigraft.data.text_data import Split, TextData


class Rewording(Protocol):
    """An option of `conf/augment_texts/`: texts to their further wordings, none or several for each."""

    def __call__(self, texts: Sequence[str], seed: int) -> list[list[str]]:
        """The wordings of each text; what is random depends on `seed` and on the text alone."""
        ...


def with_further_texts(data: TextData, chosen: Mapping[str, Rewording], seed: int) -> TextData:
    """The data set with further training texts after its own, and counts in `report["augment_texts"]`.

    Each has the label (and, of a pair, the second text) of the one that it was made from. Left out are wordings that
    are empty, that stand in train with that label already, and that stand in dev or test. `ValueError` for tagged
    texts, whose tags would not fit.
    """
    if not chosen:
        return data
    if data.kind == "tags":
        raise ValueError(
            f"augment_texts={next(iter(chosen))} makes texts of other words, which the tags of {data.name} would not "
            "fit: with tagged texts use augment=[masking] or augment=[neighbours]"
        )
    train = data.train
    held_out = {*data.dev.rows(), *data.test.rows()}
    rows = [(*row, label) for row, label in zip(train.rows(), train.labels)]
    seen = set(rows)
    added, counts = list[int](), dict[str, dict[str, int]]()
    texts = list[str]()
    for name, reword in chosen.items():
        made = reword(train.texts, seed)
        assert len(made) == len(train)
        of = counts[name] = {"added": 0, "empty_or_there_before": 0, "in_dev_or_test": 0}
        for i, wordings in enumerate(made):
            for wording in wordings:
                row = (wording, *rows[i][1:])
                if not wording.strip() or row in seen:
                    of["empty_or_there_before"] += 1
                elif row[:2] in held_out:
                    of["in_dev_or_test"] += 1
                else:
                    of["added"] += 1
                    seen.add(row)
                    added.append(i)
                    texts.append(wording)
    more = replace(train.take(added), texts=texts)
    second = None if train.second is None or more.second is None else train.second + more.second
    train = Split(train.texts + more.texts, train.labels + more.labels, second)
    splits = {**data.splits(), "train": train}
    report = data.report | {"augment_texts": counts, "splits": count_classes(splits, data.classes)}
    return replace(data, train=train, report=report)
