import re
from pathlib import Path

import pytest

from lexigraft.data.conll import conll_records


def records(content: str) -> list[tuple[list[str], list[str]]]:
    return list(conll_records(Path("x.conll"), content.split("\n")))


@pytest.mark.parametrize(
    "content",
    [
        "EU B-ORG\nrejects O\n\nPeter B-PER\n",
        "EU\tB-ORG\r\nrejects\tO\r\n\r\n\r\nPeter\tB-PER",
        "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n \nPeter NNP B-NP B-PER\n\n",
    ],
)
def test_words_and_tags_of_each_text(content: str) -> None:
    assert records(content) == [(["EU", "rejects"], ["B-ORG", "O"]), (["Peter"], ["B-PER"])]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("EU B-ORG\nrejects\n", "x.conll, line 2: 'rejects' has no tag; a word, a space or tab, and its tag"),
        ("New York\tB-LOC\n", "x.conll, line 1: 'New York' holds a space"),
    ],
)
def test_malformed_lines_are_named(content: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        records(content)
