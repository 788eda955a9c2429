"""MPQA in ten folds of random rows, as the papers draw them: equal texts stand on both sides.

    LEXIGRAFT_DATA=... python experiments/kim-cnn/row_folds.py FOLDER

Writes mpqa<k>.train.tsv.gz and mpqa<k>.test.tsv.gz for each fold k.
"""

import gzip
import os
import sys
from pathlib import Path

import numpy as np

FOLDS = 10


def main(folder: Path) -> None:
    with gzip.open(Path(os.environ["LEXIGRAFT_DATA"]) / "en_sentconv" / "mpqa.tsv.gz", "rt", encoding="utf-8") as file:
        header, *rows = file.read().splitlines()
    fold_of_row = np.random.default_rng(0).permutation(len(rows)) % FOLDS
    folder.mkdir(parents=True, exist_ok=True)
    for fold in range(FOLDS):
        for name, kept in (("train", fold_of_row != fold), ("test", fold_of_row == fold)):
            with gzip.open(folder / f"mpqa{fold}.{name}.tsv.gz", "wt", encoding="utf-8") as file:
                file.write("\n".join([header, *(row for row, keep in zip(rows, kept) if keep)]) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
