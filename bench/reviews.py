"""Reviews of up to 512 tokens: texts per second in training, against a hand-written loop and transformers.Trainer.

    python bench/reviews.py            # some 15 minutes on two quiet cores; real texts where LEXIGRAFT_DATA is set
    python bench/reviews.py --small    # seconds, to see that it runs; the figures mean nothing
    python bench/reviews.py --accuracy 2   # the dev accuracy that lexigraft and Trainer come to in so many epochs

A BERT-type backbone of 6 layers and width 384 with random weights and a linear head, AdamW (fused), gradients clipped
to 1, float32. The hand-written loop gets the very batches that lexigraft trains on (of similar length), Trainer the
same texts in random order, padded to the longest of a batch. "all rows" is lexigraft without training on the active
rows alone.

The sides take turns, a block of training each; a ratio is the median over the rounds of the ratio within a round. What
comes before the first step is not counted, nor is the writing of checkpoints. For the accuracy, which is about
batches of similar length and rows at rest and not about size, the backbone has 2 layers of width 192 and texts are cut
to 128 tokens; both sides have the same start and linearly falling rates, and each its own batches.
"""

import importlib.util
import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from backbone import (
    LR,
    Backbone,
    bert,
    classifier,
    lexigraft_seconds,
    like_reviews,
    loop_seconds,
    trained_by_trainer,
    trainer_seconds,
)  # fmt: skip
from sides import character_ids, labelled_rows, options, ratio, trained, use_threads, verdict

from lexigraft.data.batches import BucketedBatches, EncodedText
from lexigraft.data.datamodule import TextDataModule
from lexigraft.data.encoded import Encoded
from lexigraft.training.schedule import Linear

LEAST = {"loop": 0.97, "Trainer": 1.5}
CUT = 128  # tokens of a text where accuracy is measured


@dataclass(frozen=True)
class Sizes:
    """How much is trained: so many `batches` in each block."""

    backbone: Backbone
    texts: int = 9_600
    batches: int = 8  # the block is what Trainer shuffles: with few batches of similar length it would not pad
    rounds: int = 5


WHOLE, SMALL = Sizes(Backbone()), Sizes(Backbone(300, 24, 1), 120, 2, 1)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--batches", type=int, help="in each block")
    parser.add_argument("--accuracy", type=int, metavar="EPOCHS", help="instead, the dev accuracy after so many epochs")
    arguments = parser.parse_args()
    use_threads(arguments.cpu_time)
    sizes = SMALL if arguments.small else WHOLE
    sizes = replace(sizes, batches=arguments.batches or sizes.batches, rounds=arguments.rounds or sizes.rounds)
    if arguments.accuracy:
        little = sizes.backbone if arguments.small else replace(sizes.backbone, width=192, layers=2)
        accuracy(replace(sizes, backbone=little), arguments.accuracy)
    else:
        throughput(sizes, arguments.small)


def throughput(sizes: Sizes, small: bool) -> None:
    """BERT-type backbone: lexigraft, the loop, Trainer."""
    (train, labels), _, origin = texts_of(sizes)
    how = sizes.backbone
    dataset = EncodedText(train, labels, pad_id=0)
    lengths = train.lengths()
    epoch = BucketedBatches(lengths, how.batch, seed=0).batches(0)
    cells = sum(len(batch) * lengths[batch].max() for batch in epoch)
    print(f"reviews ({origin}): {len(train):,} texts, {lengths.mean():.0f} tokens on average, {lengths.max()} at most;")
    print(f"  batches of {how.batch} of similar length: {1 - lengths.sum() / cells:.1%} of the cells are padding\n")
    start = bert(how)
    sides: dict[str, Callable[[list[list[int]]], float]] = {
        "lexigraft": partial(lexigraft_seconds, how, start, dataset, True),
        "lexigraft, all rows": partial(lexigraft_seconds, how, start, dataset, False),
        "loop": partial(loop_seconds, how, start, dataset),
    }
    if importlib.util.find_spec("accelerate") is not None:  # Trainer needs it, lexigraft does not
        sides["Trainer"] = partial(trainer_seconds, how, start, dataset)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    texts = []
    for block in [0, *range(sizes.rounds)]:  # the first one warms up
        batches = [epoch[i % len(epoch)] for i in range(block * sizes.batches, (block + 1) * sizes.batches)]
        texts.append(sum(map(len, batches)))
        for name, side in sides.items():
            seconds[name].append(side(batches))
    texts, seconds = texts[1:], {name: of[1:] for name, of in seconds.items()}
    print(f"{'':22}{'texts/s':>10}{'lexigraft is':>15}")
    for name, of in seconds.items():
        rate = statistics.median(n / s for n, s in zip(texts, of))
        print(f"{name:22}{rate:10.2f}{ratio(of, seconds['lexigraft']):13.3f}x")
    verdict("lexigraft / loop", ratio(seconds["loop"], seconds["lexigraft"]), LEAST["loop"], small)
    verdict("all rows / loop", ratio(seconds["loop"], seconds["lexigraft, all rows"]), LEAST["loop"], small)
    if "Trainer" in seconds:
        verdict("lexigraft / Trainer", ratio(seconds["Trainer"], seconds["lexigraft"]), LEAST["Trainer"], small)


def accuracy(sizes: Sizes, epochs: int) -> None:
    """The dev accuracy of lexigraft and of Trainer."""
    (train, labels), (dev, dev_labels), origin = texts_of(sizes, CUT)
    parts = EncodedText(train, labels, pad_id=0), EncodedText(dev, dev_labels, pad_id=0)
    print(
        f"reviews ({origin}) of {CUT} tokens at most: {len(train):,} texts, dev {len(dev):,}, {epochs} epochs",
        flush=True,
    )
    how, start = sizes.backbone, bert(sizes.backbone)
    model = classifier(how, start, np.concatenate([train.ids, dev.ids]))
    both = {"main": {"train": parts[0], "dev": parts[1]}}
    data = TextDataModule(both, batch_size=how.batch, eval_batch_size=256, seed=0)
    module, fitted = trained(model, 2, data, LR, epochs, Linear())
    history = [round(row["dev_accuracy"], 4) for row in fitted.history]
    print(f"lexigraft   {history[-1]:.4f}   ({module.train_seconds:.0f} s of training; epochs {history})", flush=True)
    seconds, found = trained_by_trainer(how, start, *parts, epochs)
    print(f"Trainer     {found:.4f}   ({seconds:.0f} s of training)")


def texts_of(sizes: Sizes, longest: int = 512) -> tuple[tuple[Encoded, np.ndarray], tuple[Encoded, np.ndarray], str]:
    """Ids and labels of train and dev: ChnSentiCorp by characters, or texts of the lengths that were measured there."""
    data = os.environ.get("LEXIGRAFT_DATA")
    if data and sizes.texts == Sizes.texts:
        folder = Path(data) / "zh_chnsenticorp"
        train, dev = labelled_rows(folder / "train.tsv.gz"), labelled_rows(folder / "dev.tsv.gz")
        ids = character_ids([text for _, text in train + dev], longest - 2, sizes.backbone.rows)
        encoded = Encoded.of([[2, *text, 3] for text in ids])
        labels = np.array([int(label) for label, _ in train + dev])
        cut, origin = len(train), "ChnSentiCorp"
    else:
        cut, origin = sizes.texts, "synthetic"
        longest = longest if sizes.texts > 1000 else 40
        encoded, labels = like_reviews(cut + cut // 8, longest, min(4_500, sizes.backbone.rows))
    rest = range(cut, len(labels))
    return (encoded.take(range(cut)), labels[:cut]), (encoded.take(rest), labels[cut:]), origin


if __name__ == "__main__":
    main()
