"""Words replaced by synonyms from a list of the user's."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lexigraft.data.files import decoded_lines

SPACED = re.compile(r"[^\W\u2e80-\u9fff]{2}")  # two letters, but not of Chinese or Japanese

Lengths = Mapping[str, list[int]]  # first character of a word -> lengths of such words, the longest first


@dataclass(frozen=True)
class Synonyms:
    """`variants` further wordings of each text, with words replaced by synonyms with `probability` (Zhang et al. 2015).

    `path` is a text file, plain or .gz: in each line a word, a tab, and its synonyms with tabs or spaces between them.
    Words are found as they are written, the longest first; those of letters that are written with spaces between them
    only where they stand alone, Chinese ones anywhere.
    """

    path: str
    probability: float = 0.3
    variants: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.probability <= 1:
            raise ValueError(
                f"augment_texts.synonyms.probability is {self.probability}; a number above 0 and up to 1 is expected"
            )
        if self.variants < 1:
            raise ValueError(f"augment_texts.synonyms.variants is {self.variants}; 1 or more is expected")

    def __call__(self, texts: Sequence[str], seed: int) -> list[list[str]]:
        """Wordings that differ from the text; `ValueError` for a list that cannot be read."""
        synonyms = read_synonyms(self.path)
        lengths: dict[str, list[int]] = defaultdict(list)
        for length, first in sorted({(len(word), word[0]) for word in synonyms}, reverse=True):
            lengths[first].append(length)
        return [self._wordings(text, synonyms, lengths, seed) for text in texts]

    def _wordings(self, text: str, synonyms: dict[str, list[str]], lengths: Lengths, seed: int) -> list[str]:
        parts = _parts(text, synonyms, lengths)
        if len(parts) == 1:
            return []
        digest = hashlib.sha256(f"{seed}\n{text}".encode()).digest()
        random = np.random.default_rng(int.from_bytes(digest[:16], "little"))
        wordings = dict.fromkeys(self._wording(parts, synonyms, random) for _ in range(self.variants))
        return [wording for wording in wordings if wording != text]

    def _wording(self, parts: list[str], synonyms: dict[str, list[str]], random: np.random.Generator) -> str:
        written = list(parts)
        for i in range(1, len(parts), 2):
            others = synonyms[parts[i]]
            if random.random() < self.probability:
                written[i] = others[int(random.integers(len(others)))]
        return "".join(written)


def _parts(text: str, words: Container[str], lengths: Lengths) -> list[str]:
    """The text cut into what is no word, a word, what is no word, a word ..., by longest match from the left."""
    parts, done = list[str](), 0
    for at, character in enumerate(text):
        if character not in lengths or at < done:
            continue
        for length in lengths[character]:
            if text[at : at + length] in words and _alone(text, at, at + length):
                parts += [text[done:at], text[at : at + length]]
                done = at + length
                break
    return [*parts, text[done:]]


def _alone(text: str, start: int, end: int) -> bool:
    """Whether `text[start:end]` is no part of a longer word, in a script that has spaces between words."""
    return not SPACED.match(text[max(0, start - 1) : start + 1]) and not SPACED.match(text[end - 1 : end + 1])


def read_synonyms(path: str) -> dict[str, list[str]]:
    """Word -> its synonyms, in the order of the file; `ValueError` names the line that holds no word and synonym."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"no file {path}; a list of synonyms is expected (augment_texts.synonyms.path)")
    synonyms: dict[str, list[str]] = {}
    for number, line in enumerate(decoded_lines(file)[0], start=1):
        if not line.strip():
            continue
        word, _, others = line.partition("\t")
        word, found = word.strip(), others.split()
        if not word or not found:
            raise ValueError(f"{path}, line {number}: a word, a tab and one or more synonyms are expected")
        known = synonyms.setdefault(word, [])
        known += [other for other in found if other != word and other not in known]
    synonyms = {word: others for word, others in synonyms.items() if others}
    if not synonyms:
        raise ValueError(f"{path} holds no synonyms; lines of a word, a tab and its synonyms are expected")
    return synonyms
