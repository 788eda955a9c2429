"""Texts without labels, a line each: for token frequencies, trained tokenizers and methods that learn from text."""

from collections.abc import Sequence

from lexigraft.data.files import decoded_lines, find
from lexigraft.data.splits import position
from lexigraft.data.text_data import Split, TextData


def load(
    *,
    path: str | Sequence[str],
    name: str = "text",
    root: str | None = None,
    language: str = "zh",
    dev_share: float = 0.05,
) -> TextData:
    """The lines of one or more UTF-8 files (plain or .gz) as train, and a `dev_share` of them, chosen by hash, as dev.

    There are no classes, and test is empty. Equal lines count once; empty ones are dropped. `FileNotFoundError` and
    `ValueError` name the file and what was expected of it.
    """
    if not 0 < dev_share < 1:
        raise ValueError(f"data.dev_share is {dev_share}; a share between 0 and 1 is expected, such as 0.05")
    read, broken = 0, 0
    texts: dict[str, None] = {}
    for file in [path] if isinstance(path, str) else path:
        lines, damaged = decoded_lines(find(root, file))
        read, broken = read + len(lines), broken + damaged
        texts |= dict.fromkeys(text for line in lines if (text := line.strip()))
    if not texts:
        raise ValueError(f"data {name}: {path} holds no text; a text a line is expected")
    train = [text for text in texts if position(text, "dev") >= dev_share]
    dev = [text for text in texts if position(text, "dev") < dev_share]
    report = {"lines": read, "broken_unicode": broken, "empty_or_repeated": read - len(texts)}
    return TextData(name, _unlabelled(train), _unlabelled(dev), _unlabelled([]), (), language, report)


def _unlabelled(texts: list[str]) -> Split:
    return Split(texts, [0] * len(texts))
