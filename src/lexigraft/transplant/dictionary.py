"""Bilingual dictionaries, and the words of two static spaces that one pairs."""

from pathlib import Path

import numpy as np

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.transplant.columns import read_columns
from lexigraft.transplant.word_space import words_of


def read_dictionary(path: str | Path) -> list[tuple[str, str]]:
    """The pairs (source word, target word) of a text file, one a line, a tab or spaces between them; .gz is unpacked.

    `ValueError` names the line that holds other than two words.
    """
    pairs = []
    for number, fields in read_columns(path, "a bilingual dictionary", spaces=True):
        if len(fields) != 2 or not all(fields):
            raise ValueError(
                f"line {number} of {path} has {len(fields)} fields: a source word, a tab and a target word are expected"
            )
        pairs.append((fields[0], fields[1]))
    return pairs


def paired(path: str | Path, source: EmbeddingMatrix, target: EmbeddingMatrix) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers int64 [P] in two spaces of the words that the dictionary pairs, each pair once.

    A word also stands for its lower-case and its title-case form. Rows that are no vectors are left out. `ValueError`
    where no pair has both its words in the spaces.
    """
    dictionary = read_dictionary(path)
    source_ids, target_ids = words_of(source), words_of(target)
    found: dict[tuple[int, int], None] = {}
    for one, other in dictionary:
        theirs = [target_ids[form] for form in _forms(other) if form in target_ids]
        for form in _forms(one):
            if form in source_ids:
                found.update(dict.fromkeys((source_ids[form], i) for i in theirs))
    if not found:
        raise ValueError(
            f"none of the {len(dictionary)} pairs of {path} has its first word in spaces.source_space "
            f"({len(source_ids)} words) and its second in spaces.target_space ({len(target_ids)}): is it the "
            f"dictionary of these two languages, in this order?"
        )
    pairs = np.array(list(found), np.int64)
    return pairs[:, 0], pairs[:, 1]


def _forms(word: str) -> list[str]:
    return list(dict.fromkeys([word, word.lower(), word.title()]))  # not a set, whose order changes from run to run
