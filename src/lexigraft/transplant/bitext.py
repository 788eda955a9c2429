"""Alignment tables from translated sentences: where IBM model 1 agrees with itself in both directions."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lexigraft.vocab.scripts import written_without_spaces
from lexigraft.vocab.tokenizer import jieba_words

_WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")


def align_bitext(pairs: Iterable[tuple[str, str]], out: str | Path, iterations: int = 5) -> int:
    """Write a table of aligned words of translated sentences (source, target), and return its number of lines.

    Lines are `source word<TAB>target word<TAB>count`, most frequent first, as `transplant=transtokenization` and
    `transplant=ramen` read them. Words are cut at spaces and marks, by jieba in texts with Han characters. IBM
    model 1 (Brown et al. 1993) is trained in both directions, and the links that both have are counted. Needs nltk
    (`ImportError` names the extra); `ValueError` where there is no pair of sentences.
    """
    model, sentence = _nltk()
    split = [(words(one), words(other)) for one, other in pairs]
    split = [(one, other) for one, other in split if one and other]
    if not split:
        raise ValueError("there is no pair of sentences to align: each side needs at least one word")
    # In nltk, `words` are explained by `mots`; a model leaves the best alignment in each sentence, None for no word.
    forward = [sentence(other, one) for one, other in split]
    backward = [sentence(one, other) for one, other in split]
    model(forward, iterations)
    model(backward, iterations)
    counts: Counter[tuple[str, str]] = Counter()
    for (one, other), down, up in zip(split, forward, backward):
        both = {(i, j) for j, i in down.alignment} & set(up.alignment)
        counts.update((one[i], other[j]) for i, j in both)
    lines = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    text = "".join(f"{one}\t{other}\t{count}\n" for (one, other), count in lines)
    Path(out).write_text(text, encoding="utf-8")
    return len(lines)


def words(text: str) -> list[str]:
    """The words and marks of a text."""
    if any(written_without_spaces(c.encode()) for c in text if c.isalpha()):
        return [word.strip() for word in jieba_words(text)]
    return _WORD.findall(text)


def _nltk() -> tuple[Any, Any]:
    try:
        from nltk.translate import AlignedSent, IBMModel1
    except ImportError as error:
        raise ImportError("aligning the words of a bitext needs nltk: pip install 'lexigraft[align]'") from error
    return IBMModel1, AlignedSent
