"""What `lexigraft train` costs beside the network: training with all that is always on against a bare PyTorch loop.

    python bench/overhead.py           # some minutes on two quiet cores
    python bench/overhead.py --small   # seconds, to see that it runs; the figures mean nothing

A Transformer of two layers, AdamW (fused), gradients clipped to 1, float32, on synthetic texts. Both sides train the
same weights on the same batches. lexigraft's side is `fit` as a run has it: bookkeeping, logger, stop at NaN, speed.
The seconds are those of an epoch until validation begins, the making of its batches included on both sides; writing
checkpoints is no part of them. The sides take turns, a block of training each, and the one that begins changes
from round to round; the ratio is the median over the rounds of the ratio within a round.
"""

import statistics
from dataclasses import dataclass

import numpy as np
import torch
from sides import CLIP, DECAY, now, options, ratio, trained, use_threads, verdict
from torch import nn
from torch.nn.functional import cross_entropy

from lexigraft.data.batches import EncodedText
from lexigraft.data.datamodule import TextDataModule
from lexigraft.data.encoded import Encoded
from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.encoders import Transformer
from lexigraft.models.pooling import Mean

MOST = 1.03
ROWS, BATCH, LR = 2_000, 32, 1e-3


@dataclass(frozen=True)
class Sizes:
    """How much is trained: so many batches in each of so many rounds, of a network so wide."""

    width: int = 128
    tokens: int = 64
    batches: int = 100
    rounds: int = 7


SMALL = Sizes(16, 8, 4, 1)


def main() -> None:
    arguments = options(__doc__).parse_args()
    use_threads(arguments.cpu_time)
    sizes = SMALL if arguments.small else Sizes()
    data = texts(sizes)
    sides = {"lexigraft": with_fit, "bare loop": bare}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for block in range((arguments.rounds or sizes.rounds) + 1):
        order = list(sides) if block % 2 else list(sides)[::-1]
        for name in order:
            took = sides[name](sizes, data, block)
            if block:  # the first one warms up
                seconds[name].append(took)
    for name, of in seconds.items():
        print(f"{name:12}{1e3 * statistics.median(of) / sizes.batches:9.2f} ms a batch")
    found = ratio(seconds["lexigraft"], seconds["bare loop"])
    verdict("lexigraft / bare loop", found, MOST, arguments.small, at_most=True)


def texts(sizes: Sizes) -> EncodedText:
    """Texts of half to all of the tokens, two labels."""
    draw = np.random.default_rng(0)
    count = BATCH * sizes.batches
    lengths = draw.integers(sizes.tokens // 2, sizes.tokens + 1, count)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    ids = draw.integers(1, ROWS, starts[-1]).astype(np.int32)
    return EncodedText(Encoded(ids, starts), draw.integers(0, 2, count), pad_id=0)


def network(sizes: Sizes) -> Classifier:
    """The same one each time."""
    torch.manual_seed(0)
    embedding = TransplantedEmbedding(torch.randn(ROWS, sizes.width), 0)
    encoder = Transformer(
        sizes.width, layers=2, heads=4, feedforward=4 * sizes.width, dropout=0.1, max_tokens=sizes.tokens
    )
    return Classifier(embedding, encoder, Mean(encoder.width), {"main": Head(2)}, head_dropout=0.1)


def loaders(train: EncodedText, seed: int) -> TextDataModule:
    """The batches of a block, and a dev split that is next to nothing."""
    dev = EncodedText(train.encoded.take(range(4)), [0, 1, 0, 1], pad_id=0)
    return TextDataModule({"main": {"train": train, "dev": dev}}, batch_size=BATCH, eval_batch_size=4, seed=seed)


def with_fit(sizes: Sizes, train: EncodedText, block: int) -> float:
    """Seconds of an epoch of lexigraft."""
    module, _ = trained(network(sizes), 2, loaders(train, block), LR)
    return module.train_seconds


def bare(sizes: Sizes, train: EncodedText, block: int) -> float:
    """Seconds of a loop as one writes it by hand, on the same batches, which it makes itself."""
    model = network(sizes).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=DECAY, fused=True)
    parameters = list(model.parameters())
    batches = loaders(train, block).train_dataloader()
    began = now()
    for batch in batches:
        loss = cross_entropy(model(batch["input_ids"], batch["mask"]), batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
    return now() - began


if __name__ == "__main__":
    main()
