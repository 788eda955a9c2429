"""What checkpoints cost: how long training waits for one, written at once and by a thread.

    python bench/checkpoints.py             # BERT-base, 1.3 GB each: minutes, gigabytes of memory and in --folder
    python bench/checkpoints.py --small     # seconds, to see that it runs; the figures mean nothing

Weights, Adam's moments and all else that a run needs to go on, by `fit` with trainer.checkpoint_async false and true.
Each training writes one, after its only epoch; the seconds are those of "checkpoint" in result.json, the middle of 3.
They are held against trainer.checkpoint_every, 10 minutes; since each epoch ends with a checkpoint too, the shortest
epoch of which they take no more than that share is told. A thread has the time until the next checkpoint for writing.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from backbone import LR, Backbone, bert, classifier
from sides import trained

from lexigraft.data.batches import EncodedText
from lexigraft.data.datamodule import TextDataModule
from lexigraft.data.encoded import Encoded
from lexigraft.models.classifier import Classifier

MOST, CADENCE = 0.02, 600  # of the time; seconds, trainer.checkpoint_every
WHOLE, SMALL = Backbone(30_522, 768, 12), Backbone(300, 24, 1)
STEPS, TOKENS = 4, 16  # the first three steps of a run are no part of its seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a tiny network")
    parser.add_argument("--folder", type=Path, help="on the disk that is to be measured; the system's temporary one")
    arguments = parser.parse_args()
    how, times = (SMALL, 1) if arguments.small else (WHOLE, 3)
    start = bert(how)
    print(f"{'':22}{'s waited':>10}{'of 10 min':>12}{'epochs from':>13}")
    for name, background in {"at once": False, "by a thread": True}.items():
        found = []
        for _ in range(times):
            model = classifier(how, start, None)
            found.append(seconds(model, arguments.folder, checkpoint_async=background))
        numbers, waited = sum(each.numel() for each in model.parameters()), statistics.median(found)
        share = waited / CADENCE
        reached = "" if arguments.small else "reached" if share <= MOST else "MISSED"
        print(
            f"{name:22}{waited:10.3f}{share:12.2%}{waited / MOST:11.1f} s   target <= {MOST:.0%}   {reached}".rstrip()
        )
    print(f"weights and two moments of {numbers / 1e6:.1f} million numbers: {12 * numbers / 1e9:.2f} GB a checkpoint")


def seconds(model: Classifier, folder: Path | None, **settings: Any) -> float:
    """Seconds that training waits for its checkpoint."""
    draw = np.random.default_rng(0)
    texts = Encoded.of(draw.integers(1, 300, (STEPS, TOKENS)).tolist())
    train = EncodedText(texts, draw.integers(0, 2, STEPS), pad_id=0)
    dev = EncodedText(texts.take(range(1)), [0], pad_id=0)
    data = TextDataModule({"main": {"train": train, "dev": dev}}, batch_size=1, eval_batch_size=1, seed=0)
    _, fitted = trained(model, 2, data, LR, folder=folder, **settings)
    return fitted.speed["seconds"]["checkpoint"]


if __name__ == "__main__":
    main()
