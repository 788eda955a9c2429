"""Titles of some 20 characters: texts per second in training a TextCNN, against a plain loop.

    python bench/titles.py           # some minutes on two quiet cores; real texts where LEXIGRAFT_DATA is set
    python bench/titles.py --small   # seconds, to see that it runs; the figures mean nothing

The plain loop pads every text to 32 tokens and measures the dev split every 100 steps, with the model and the loss of
lexigraft, and torch.optim.Adam as it comes; lexigraft pads to the longest of a batch and measures the dev split once an
epoch, of which each block bears its share.

The sides take turns, a block of training each; a ratio is the median over the rounds of the ratio within a round. What
comes before the first step is not counted, nor is the writing of checkpoints. At the end each trains a whole epoch.
"""

import os
import statistics
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from sides import Portion, character_ids, labelled_rows, now, options, ratio, synthetic, trained, use_threads, verdict
from torch import Tensor
from torch.nn.functional import cross_entropy

from lexigraft.data.batches import EncodedText
from lexigraft.data.datamodule import TextDataModule
from lexigraft.data.encoded import Encoded
from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.encoders import TextCNN
from lexigraft.models.pooling import Max

LEAST = {"plain": 1.3, "validation": 1.0}
BATCH, LR, PADDED_TO, DEV = 128, 1e-3, 32, 10_000


@dataclass(frozen=True)
class Sizes:
    """How much is trained: so many `batches` in each block."""

    texts: int = 45_000
    batches: int = 100
    rounds: int = 5


SMALL = Sizes(200, 1, 1)


def main() -> None:
    arguments = options(__doc__).parse_args()
    use_threads(arguments.cpu_time)
    sizes = SMALL if arguments.small else Sizes()
    throughput(replace(sizes, rounds=arguments.rounds or sizes.rounds), arguments.small)


def throughput(sizes: Sizes, small: bool) -> None:
    """TextCNN: lexigraft, and a loop that pads to the maximum and evaluates often."""
    train, labels, dev, dev_labels, vocabulary, origin = texts_of(sizes)
    parts = EncodedText(train, labels, pad_id=0), EncodedText(dev, dev_labels, pad_id=0)
    classes = int(labels.max()) + 1
    print(
        f"titles ({origin}): {len(train):,} texts, {train.lengths().mean():.1f} tokens on average, dev {len(dev):,}\n"
    )
    steps = sizes.batches
    share = steps * BATCH / len(train)  # of an epoch, and so of its validation
    ours, plain, validation = [], [], []
    for block in range(sizes.rounds + 1):
        took = lexigraft_side(parts, classes, vocabulary, block, steps, share)
        loop = plain_side(parts, classes, vocabulary, block, steps, steps)
        if block:
            ours.append(took["train"] + took["validation"])
            validation.append(took["train"] / took["trained"] / (took["validation"] / took["validated"]))
            plain.append(loop["seconds"])
    texts = steps * BATCH
    print(f"{'lexigraft':22}{texts / statistics.median(ours):10.0f} texts/s, validation included")
    print(f"{'plain loop':22}{texts / statistics.median(plain):10.0f} texts/s, validation included")
    verdict("lexigraft / plain loop", ratio(plain, ours), LEAST["plain"], small)
    verdict("validation / training", statistics.median(validation), LEAST["validation"], small)
    whole = -(-len(train) // BATCH)
    best = lexigraft_side(parts, classes, vocabulary, 0, whole, 1.0)["accuracy"]
    other = plain_side(parts, classes, vocabulary, 0, whole, 100)["accuracy"]
    print(f"dev accuracy after an epoch: lexigraft {best:.4f}, plain loop {other:.4f}")


def lexigraft_side(
    parts: tuple[EncodedText, EncodedText], classes: int, vocabulary: int, block: int, steps: int, share: float
) -> dict[str, float]:
    """Seconds of training and of the share of validation, their texts, and the dev accuracy."""
    train, dev = parts
    if share < 1:
        every = np.linspace(0, len(dev) - 1, round(len(dev) * share)).astype(int)
        dev = EncodedText(dev.encoded.take(every), dev.targets[every], pad_id=0)
    data = TextDataModule({"main": {"train": train, "dev": dev}}, batch_size=BATCH, eval_batch_size=256, seed=block)
    batches = data.batches.batches(block)[:steps]
    data.batches = Portion(batches)
    module, fitted = trained(textcnn(vocabulary, classes), classes, data, LR)
    return {
        "train": module.train_seconds,
        "trained": sum(map(len, batches)),
        "validation": module.validation_seconds,
        "validated": len(dev),
        "accuracy": fitted.best["value"],
    }


def plain_side(
    parts: tuple[EncodedText, EncodedText], classes: int, vocabulary: int, block: int, steps: int, every: int
) -> dict[str, float]:
    """Seconds of a loop over texts padded to the maximum that measures the dev split in every so many steps."""
    (ids, mask, labels), (dev_ids, dev_mask, dev_labels) = map(_padded_to_the_maximum, parts)
    model = textcnn(vocabulary, classes).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    order = torch.randperm(len(ids), generator=torch.Generator().manual_seed(block))
    accuracy = 0.0
    began = now()
    for step in range(steps):
        batch = order[step * BATCH : (step + 1) * BATCH]
        loss = cross_entropy(model(ids[batch], mask[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % every == 0 or step + 1 == steps:
            model.eval()
            with torch.no_grad():
                right = [
                    model(dev_ids[i : i + BATCH], dev_mask[i : i + BATCH]).argmax(1)
                    for i in range(0, len(dev_ids), BATCH)
                ]
            accuracy = float((torch.cat(right) == dev_labels).float().mean())
            model.train()
    return {"seconds": now() - began, "accuracy": accuracy}


def _padded_to_the_maximum(texts: EncodedText) -> tuple[Tensor, Tensor, Tensor]:
    lengths = np.minimum(texts.encoded.lengths(), PADDED_TO)
    ids = np.zeros((len(texts), PADDED_TO), np.int64)
    for i, length in enumerate(lengths):
        ids[i, :length] = texts.encoded[i][:length]
    # Its network has no mask: every cell counts.
    return torch.from_numpy(ids), torch.ones(len(ids), PADDED_TO, dtype=torch.bool), texts.targets


def textcnn(vocabulary: int, classes: int) -> Classifier:
    """Kernels of 2, 3 and 4 tokens with 256 channels on rows of width 300."""
    torch.manual_seed(0)
    embedding = TransplantedEmbedding(torch.randn(vocabulary, 300), 0)
    encoder = TextCNN(300, kernel_sizes=[2, 3, 4], channels=256)
    return Classifier(embedding, encoder, Max(encoder.width), {"main": Head(classes)}, head_dropout=0.5)


def texts_of(sizes: Sizes) -> tuple[Encoded, np.ndarray, Encoded, np.ndarray, int, str]:
    """Ids and labels of train and dev, and the size of the vocabulary: THUCNews, or texts of such lengths."""
    data = os.environ.get("LEXIGRAFT_DATA")
    if data and sizes.texts == Sizes.texts:
        folder = Path(data) / "zh_thucnews_title"
        train, dev = labelled_rows(folder / "train45k.tsv.gz"), labelled_rows(folder / "dev.tsv.gz")
        ids = character_ids([text for _, text in train + dev], PADDED_TO, 8_000)
        names = sorted({label for label, _ in train})
        labels = np.array([names.index(label) for label, _ in train + dev])
        cut, size = len(train), max(map(max, ids)) + 1
        return Encoded.of(ids[:cut]), labels[:cut], Encoded.of(ids[cut:]), labels[cut:], size, "THUCNews"
    draw = np.random.default_rng(0)
    count = sizes.texts + min(DEV, sizes.texts)
    lengths, labels = draw.normal(19.8, 3.8, count).astype(int).clip(4, PADDED_TO), draw.integers(0, 10, count)
    ids, cut = synthetic(draw, lengths, labels, 4_700), sizes.texts
    return ids.take(range(cut)), labels[:cut], ids.take(range(cut, count)), labels[cut:], 4_700, "synthetic"


if __name__ == "__main__":
    main()
