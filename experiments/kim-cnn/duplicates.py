"""What equal texts on both sides of a random fold are worth, by naive Bayes on uni- and bigrams.

    LEXIGRAFT_DATA=... python experiments/kim-cnn/duplicates.py

Folds by a hash of the text, as `data.fold` makes them, keep equal texts together; the papers' folds are random rows.
"""

import itertools
import os
from collections import Counter
from pathlib import Path

import numpy as np

from lexigraft.data.files import read_table
from lexigraft.data.splits import position

FOLDS = 10


def main(folder: Path) -> None:
    print(
        "| data | rows | test rows whose text is in train, random folds | naive Bayes, folds by text | random folds |"
    )
    print("|---|---|---|---|---|")
    for name in ("mr", "subj", "cr", "mpqa"):
        rows = read_table(folder / "en_sentconv" / f"{name}.tsv.gz", "text", "label").rows
        texts, labels = [text for text, _ in rows], np.array([label for _, label in rows])
        by_text = np.array([int(position(text, "fold") * FOLDS) for text in texts])
        at_random = np.random.default_rng(0).permutation(len(rows)) % FOLDS
        leaked = np.mean([share_in_train(texts, at_random == fold) for fold in range(FOLDS)])
        scores = [
            np.mean([naive_bayes(texts, labels, of == fold) for fold in range(FOLDS)]) for of in (by_text, at_random)
        ]
        print(f"| {name} | {len(rows):,} | {leaked:.1%} | {scores[0]:.1%} | {scores[1]:.1%} |")


def share_in_train(texts: list[str], test: np.ndarray) -> float:
    train = {text for text, held_out in zip(texts, test) if not held_out}
    return float(np.mean([text in train for text, held_out in zip(texts, test) if held_out]))


def naive_bayes(texts: list[str], labels: np.ndarray, test: np.ndarray) -> float:
    """Accuracy on the rows `test`; a multinomial model with add-one smoothing and the train split's priors."""
    classes = sorted(set(labels))
    counts: dict[str, Counter[str]] = {c: Counter() for c in classes}
    for text, label, held_out in zip(texts, labels, test):
        if not held_out:
            counts[label].update(grams(text))
    vocabulary = set().union(*counts.values())
    prior = {c: np.log(np.mean(labels[~test] == c)) for c in classes}
    total = {c: np.log(sum(counts[c].values()) + len(vocabulary)) for c in classes}
    right = 0
    for i in np.flatnonzero(test):
        seen = [gram for gram in grams(texts[i]) if gram in vocabulary]
        score = {c: prior[c] + sum(np.log1p(counts[c][gram]) - total[c] for gram in seen) for c in classes}
        right += max(classes, key=score.__getitem__) == labels[i]
    return right / int(test.sum())


def grams(text: str) -> list[str]:
    words = text.lower().split()
    return words + [f"{a} {b}" for a, b in itertools.pairwise(words)]


if __name__ == "__main__":
    main(Path(os.environ["LEXIGRAFT_DATA"]))
