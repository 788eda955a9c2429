"""Texts per second in training: lexigraft against a hand-written loop and transformers.Trainer.

    python bench/training.py           # some 15 minutes on two quiet cores; real texts where LEXIGRAFT_DATA is set
    python bench/training.py --small   # seconds, to see that it runs; the figures mean nothing

Reviews: texts of up to 512 tokens, a BERT-type backbone of 6 layers and width 384 with random weights and a linear
head, AdamW (fused), gradients clipped to 1, float32. The hand-written loop gets the very batches that lexigraft trains
on (of similar length), transformers.Trainer the same texts in random order, padded to the longest of a batch. "all
rows" is lexigraft without training on the active rows alone.

Titles: a TextCNN on titles of some 20 characters. The plain loop pads every text to 32 tokens and measures the dev
split every 100 steps, with the model and the loss of lexigraft, and torch.optim.Adam as it comes; lexigraft pads to the
longest of a batch and measures the dev split once an epoch, of which each block bears its share.

The sides take turns, a block of training each; a ratio is the median over the rounds of the ratio within a round. What
comes before the first step is not counted, nor is the writing of checkpoints.
"""

import argparse
import gzip
import importlib.util
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lexigraft.data.batches import BucketedBatches, EncodedText
from lexigraft.data.datamodule import TextDataModule
from lexigraft.data.encoded import Encoded
from lexigraft.models.active import activate
from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.encoders import TextCNN
from lexigraft.models.pooling import First, Max
from lexigraft.models.pretrained import Pretrained
from lexigraft.tasks.classification import Classification
from lexigraft.tasks.losses import CrossEntropy
from lexigraft.training.finetune.steady import Full
from lexigraft.training.fit import fit
from lexigraft.training.loggers import csv
from lexigraft.training.module import SupervisedModule
from lexigraft.training.schedule import Constant

now = time.perf_counter
LEAST = {"loop": 0.97, "Trainer": 1.5, "plain": 1.3, "validation": 1.0}
BATCH, TITLE_BATCH, PADDED_TO, DEV = 32, 128, 32, 10_000
LR, TITLE_LR = 1e-4, 1e-3


@dataclass(frozen=True)
class Sizes:
    """How much is trained: so many `batches` of reviews and of titles in each of so many blocks."""

    rows: int = 21_128
    width: int = 384
    layers: int = 6
    reviews: int = 9_600
    batches: int = 8  # the block is what Trainer shuffles: with few batches of similar length it would not pad
    rounds: int = 5
    titles: int = 45_000
    title_batches: int = 100
    title_rounds: int = 5


SMALL = Sizes(300, 24, 1, 120, 2, 1, 600, 2, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="tiny sizes")
    parser.add_argument("--only", choices=("reviews", "titles"), help="one of the two")
    parser.add_argument("--rounds", type=int, help="blocks of each side")
    parser.add_argument("--batches", type=int, help="of reviews in each block")
    parser.add_argument("--cpu-time", action="store_true", help="on one thread, by its CPU time: for busy machines")
    arguments = parser.parse_args()
    torch.set_num_threads(1 if arguments.cpu_time else 2)
    if arguments.cpu_time:
        global now
        now = time.process_time
    sizes = SMALL if arguments.small else Sizes()
    sizes = replace(sizes, batches=arguments.batches or sizes.batches)
    rounds = arguments.rounds
    if arguments.only != "titles":
        reviews(sizes, rounds or sizes.rounds, arguments.small)
    if arguments.only != "reviews":
        titles(sizes, rounds or sizes.title_rounds, arguments.small)


def reviews(sizes: Sizes, rounds: int, small: bool) -> None:
    """BERT-type backbone: lexigraft, the loop, Trainer."""
    train, labels, origin = review_texts(sizes)
    dataset = EncodedText(train, labels, pad_id=0)
    lengths = train.lengths()
    epoch = BucketedBatches(lengths, BATCH, seed=0).batches(0)
    cells = sum(len(batch) * lengths[batch].max() for batch in epoch)
    print(f"reviews ({origin}): {len(train):,} texts, {lengths.mean():.0f} tokens on average, {lengths.max()} at most;")
    print(f"  batches of {BATCH} of similar length: {1 - lengths.sum() / cells:.1%} of the cells are padding\n")
    start = bert(sizes)
    sides: dict[str, Callable[[list[list[int]]], float]] = {
        "lexigraft": partial(lexigraft_reviews, sizes, start, dataset, True),
        "lexigraft, all rows": partial(lexigraft_reviews, sizes, start, dataset, False),
        "loop": partial(loop_reviews, sizes, start, dataset),
    }
    if importlib.util.find_spec("accelerate") is not None:  # Trainer needs it, lexigraft does not
        sides["Trainer"] = partial(trainer_reviews, sizes, start, dataset)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    texts = []
    for block in [0, *range(rounds)]:  # the first one warms up
        batches = [epoch[i % len(epoch)] for i in range(block * sizes.batches, (block + 1) * sizes.batches)]
        texts.append(sum(map(len, batches)))
        for name, side in sides.items():
            seconds[name].append(side(batches))
    texts, seconds = texts[1:], {name: of[1:] for name, of in seconds.items()}
    print(f"{'':22}{'texts/s':>10}{'lexigraft is':>15}")
    for name, of in seconds.items():
        rate = statistics.median(n / s for n, s in zip(texts, of))
        print(f"{name:22}{rate:10.2f}{_ratio(of, seconds['lexigraft']):13.3f}x")
    _verdict("lexigraft / loop", _ratio(seconds["loop"], seconds["lexigraft"]), LEAST["loop"], small)
    _verdict("all rows / loop", _ratio(seconds["loop"], seconds["lexigraft, all rows"]), LEAST["loop"], small)
    if "Trainer" in seconds:
        _verdict("lexigraft / Trainer", _ratio(seconds["Trainer"], seconds["lexigraft"]), LEAST["Trainer"], small)
    print()


def titles(sizes: Sizes, rounds: int, small: bool) -> None:
    """TextCNN: lexigraft, and a loop that pads to the maximum and evaluates often."""
    train, labels, dev, dev_labels, vocabulary, origin = title_texts(sizes)
    parts = EncodedText(train, labels, pad_id=0), EncodedText(dev, dev_labels, pad_id=0)
    classes = int(labels.max()) + 1
    print(
        f"titles ({origin}): {len(train):,} texts, {train.lengths().mean():.1f} tokens on average, dev {len(dev):,}\n"
    )
    steps = sizes.title_batches
    share = steps * TITLE_BATCH / len(train)  # of an epoch, and so of its validation
    ours, plain, validation = [], [], []
    for block in range(rounds + 1):
        took = lexigraft_titles(parts, classes, vocabulary, block, steps, share)
        loop = plain_titles(parts, classes, vocabulary, block, steps, steps)
        if block:
            ours.append(took["train"] + took["validation"])
            validation.append(took["train"] / took["trained"] / (took["validation"] / took["validated"]))
            plain.append(loop["seconds"])
    texts = steps * TITLE_BATCH
    print(f"{'lexigraft':22}{texts / statistics.median(ours):10.0f} texts/s, validation included")
    print(f"{'plain loop':22}{texts / statistics.median(plain):10.0f} texts/s, validation included")
    _verdict("lexigraft / plain loop", _ratio(plain, ours), LEAST["plain"], small)
    _verdict("validation / training", statistics.median(validation), LEAST["validation"], small)
    whole = -(-len(train) // TITLE_BATCH)
    best = lexigraft_titles(parts, classes, vocabulary, 0, whole, 1.0)["accuracy"]
    other = plain_titles(parts, classes, vocabulary, 0, whole, 100)["accuracy"]
    print(f"dev accuracy after an epoch: lexigraft {best:.4f}, plain loop {other:.4f}")


def _ratio(slow: list[float], fast: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(slow, fast))


def _verdict(what: str, ratio: float, least: float, small: bool) -> None:
    reached = "" if small else "reached" if ratio >= least else "MISSED"
    print(f"{what:22}{ratio:8.3f}x   target >= {least}x   {reached}".rstrip())


# --- lexigraft


class Clocked(SupervisedModule):
    """Notes the seconds from an epoch's start to the end of its steps, and those of validation."""

    train_seconds = validation_seconds = 0.0

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        self._began = now()

    def on_validation_start(self) -> None:
        self.train_seconds += now() - self._began
        self._began = now()

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        self.validation_seconds += now() - self._began


class Portion:
    """Some batches of an epoch as a sampler."""

    def __init__(self, batches: list[list[int]]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)


def trained(
    model: Classifier, classes: int, data: TextDataModule, lr: float, clip: float | None
) -> tuple[Clocked, Any]:
    """The module after an epoch of `lexigraft train`, and what `fit` tells."""
    names = tuple(map(str, range(classes)))
    task = Classification(loss=CrossEntropy(), classes=names, train=data.tasks["main"]["train"].targets.tolist())
    optimizer = partial(torch.optim.AdamW, lr=lr, fused=True)
    module = Clocked(model, {"main": task}, optimizer, Constant(), Full(), weight_decay=0.01)
    with tempfile.TemporaryDirectory(prefix="lexigraft-bench-") as folder:
        fitted = fit(
            module,
            data,
            checkpoints=Path(folder) / "checkpoints",
            loggers=csv(folder=Path(folder), config={}),
            console=Console(file=io.StringIO()),
            epochs=1,
            monitor="accuracy",
            patience=None,
            gradient_clip=clip,
            bar=False,
            accelerator="cpu",
            devices=1,
            precision="32-true",
        )
    return module, fitted


def lexigraft_reviews(
    sizes: Sizes, start: nn.Module, dataset: EncodedText, active: bool, batches: list[list[int]]
) -> float:
    """Seconds of a block."""
    words = start.get_input_embeddings().weight.detach()
    embedding = TransplantedEmbedding(words, 0)
    if active:
        activate(embedding, torch.from_numpy(np.unique(dataset.encoded.ids)))
    encoder = Pretrained(sizes.width, config=_plain(start.config))
    encoder.load_backbone({k: v for k, v in start.state_dict().items() if "word_embeddings" not in k})
    model = Classifier(embedding, encoder, First(encoder.width), {"main": Head(2)}, head_dropout=0.1)
    dev = EncodedText(dataset.encoded.take(range(4)), [0, 1, 0, 1], pad_id=0)
    data = TextDataModule({"main": {"train": dataset, "dev": dev}}, batch_size=BATCH, eval_batch_size=256, seed=0)
    data.batches = Portion(batches)
    module, _ = trained(model, 2, data, LR, clip=1.0)
    return module.train_seconds


def lexigraft_titles(
    parts: tuple[EncodedText, EncodedText], classes: int, vocabulary: int, block: int, steps: int, share: float
) -> dict[str, float]:
    """Seconds of training and of the share of validation, their texts, and the dev accuracy."""
    train, dev = parts
    if share < 1:
        every = np.linspace(0, len(dev) - 1, round(len(dev) * share)).astype(int)
        dev = EncodedText(dev.encoded.take(every), dev.targets[every], pad_id=0)
    data = TextDataModule(
        {"main": {"train": train, "dev": dev}}, batch_size=TITLE_BATCH, eval_batch_size=256, seed=block
    )
    batches = data.batches.batches(block)[:steps]
    data.batches = Portion(batches)
    module, fitted = trained(textcnn(vocabulary, classes), classes, data, TITLE_LR, clip=1.0)
    return {
        "train": module.train_seconds,
        "trained": sum(map(len, batches)),
        "validation": module.validation_seconds,
        "validated": len(dev),
        "accuracy": fitted.best["value"],
    }


# --- the others


def loop_reviews(sizes: Sizes, start: nn.Module, dataset: EncodedText, batches: list[list[int]]) -> float:
    """Seconds of a block of a loop as one writes it by hand."""
    from transformers import BertModel

    body = BertModel(start.config, add_pooling_layer=False)
    body.load_state_dict(start.state_dict())
    head = nn.Sequential(nn.Dropout(0.1), nn.Linear(sizes.width, 2))
    model = nn.ModuleList([body, head]).train()
    decayed = [p for n, p in model.named_parameters() if p.ndim > 1 and "embeddings" not in n]
    spared = [p for n, p in model.named_parameters() if p.ndim < 2 or "embeddings" in n]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": spared, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LR, fused=True)
    parameters = decayed + spared
    ids = [torch.from_numpy(dataset.encoded[i].astype(np.int64)) for i in range(len(dataset))]
    labels = dataset.targets
    began = now()
    for batch in batches:
        input_ids = nn.utils.rnn.pad_sequence([ids[i] for i in batch], batch_first=True)
        lengths = torch.tensor([len(ids[i]) for i in batch])
        mask = (torch.arange(input_ids.shape[1]) < lengths[:, None]).long()
        hidden = body(input_ids=input_ids, attention_mask=mask).last_hidden_state
        loss = cross_entropy(head(hidden[:, 0]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    return now() - began


def trainer_reviews(sizes: Sizes, start: nn.Module, dataset: EncodedText, batches: list[list[int]]) -> float:
    """Seconds of a block of transformers.Trainer with its defaults, but for the batch size and the learning rate."""
    from transformers import BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

    class Clock(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.began = now()

        def on_train_end(self, *_: Any, **__: Any) -> None:
            self.seconds = now() - self.began

    model = BertForSequenceClassification(start.config)
    model.bert.load_state_dict(start.state_dict(), strict=False)
    rows = [i for batch in batches for i in batch]
    texts = [{"input_ids": dataset.encoded[i].tolist(), "label": int(dataset.targets[i])} for i in rows]
    clock = Clock()
    with tempfile.TemporaryDirectory(prefix="lexigraft-bench-") as folder:
        arguments = TrainingArguments(
            output_dir=folder, per_device_train_batch_size=BATCH, learning_rate=LR, num_train_epochs=1, use_cpu=True,
            save_strategy="no", report_to="none", disable_tqdm=True,
        )  # fmt: skip
        trainer = Trainer(
            model=model, args=arguments, train_dataset=texts, callbacks=[clock], processing_class=_pad_only(sizes.rows)
        )
        trainer.log = lambda *_: None  # type: ignore[method-assign]  # it prints
        trainer.train()
    return clock.seconds


def plain_titles(
    parts: tuple[EncodedText, EncodedText], classes: int, vocabulary: int, block: int, steps: int, every: int
) -> dict[str, float]:
    """Seconds of a loop over texts padded to the maximum that measures the dev split in every so many steps."""
    (ids, mask, labels), (dev_ids, dev_mask, dev_labels) = map(_padded_to_the_maximum, parts)
    model = textcnn(vocabulary, classes).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=TITLE_LR)
    order = torch.randperm(len(ids), generator=torch.Generator().manual_seed(block))
    accuracy = 0.0
    began = now()
    for step in range(steps):
        batch = order[step * TITLE_BATCH : (step + 1) * TITLE_BATCH]
        loss = cross_entropy(model(ids[batch], mask[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % every == 0 or step + 1 == steps > every:
            model.eval()
            with torch.no_grad():
                right = [
                    model(dev_ids[i : i + TITLE_BATCH], dev_mask[i : i + TITLE_BATCH]).argmax(1)
                    for i in range(0, len(dev_ids), TITLE_BATCH)
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


# --- models and texts


def bert(sizes: Sizes) -> Any:
    """The backbone with its random weights."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=sizes.rows, hidden_size=sizes.width, num_hidden_layers=sizes.layers, num_attention_heads=12,
        intermediate_size=4 * sizes.width, max_position_embeddings=512,
    )  # fmt: skip
    torch.manual_seed(0)
    return BertModel(config, add_pooling_layer=False)


def _plain(config: Any) -> dict[str, Any]:
    values: dict[str, Any] = config.to_dict()
    return values


def textcnn(vocabulary: int, classes: int) -> Classifier:
    """Kernels of 2, 3 and 4 tokens with 256 channels on rows of width 300."""
    torch.manual_seed(0)
    embedding = TransplantedEmbedding(torch.randn(vocabulary, 300), 0)
    encoder = TextCNN(300, kernel_sizes=[2, 3, 4], channels=256)
    return Classifier(embedding, encoder, Max(encoder.width), {"main": Head(classes)}, head_dropout=0.5)


def _pad_only(rows: int) -> Any:
    """A tokenizer of which Trainer needs only the padding."""
    import tokenizers
    from transformers import PreTrainedTokenizerFast

    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[PAD]": 0, "[UNK]": 1}, unk_token="[UNK]"))
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]")


def review_texts(sizes: Sizes) -> tuple[Encoded, np.ndarray, str]:
    """Ids and labels: ChnSentiCorp by characters, or texts with the lengths that were measured there."""
    data = os.environ.get("LEXIGRAFT_DATA")
    if data and sizes.reviews == Sizes.reviews:
        rows = _rows(Path(data) / "zh_chnsenticorp" / "train.tsv.gz")
        ids = _character_ids([text for _, text in rows], 510, sizes.rows)
        return Encoded.of([[2, *text, 3] for text in ids]), np.array([int(label) for label, _ in rows]), "ChnSentiCorp"
    draw = np.random.default_rng(0)
    lengths = draw.lognormal(4.33, 0.72, sizes.reviews).astype(int).clip(5, 512 if sizes.reviews > 1000 else 40)
    labels = draw.integers(0, 2, sizes.reviews)
    return _synthetic(draw, lengths, labels, min(4_500, sizes.rows)), labels, "synthetic"


def title_texts(sizes: Sizes) -> tuple[Encoded, np.ndarray, Encoded, np.ndarray, int, str]:
    """Ids and labels of train and dev, and the size of the vocabulary: THUCNews, or texts of such lengths."""
    data = os.environ.get("LEXIGRAFT_DATA")
    if data and sizes.titles == Sizes.titles:
        folder = Path(data) / "zh_thucnews_title"
        train, dev = _rows(folder / "train45k.tsv.gz"), _rows(folder / "dev.tsv.gz")
        ids = _character_ids([text for _, text in train + dev], PADDED_TO, 8_000)
        names = sorted({label for label, _ in train})
        labels = np.array([names.index(label) for label, _ in train + dev])
        cut, size = len(train), max(map(max, ids)) + 1
        return Encoded.of(ids[:cut]), labels[:cut], Encoded.of(ids[cut:]), labels[cut:], size, "THUCNews"
    draw = np.random.default_rng(0)
    count = sizes.titles + min(DEV, sizes.titles)
    lengths, labels = draw.normal(19.8, 3.8, count).astype(int).clip(4, PADDED_TO), draw.integers(0, 10, count)
    ids, cut = _synthetic(draw, lengths, labels, 4_700), sizes.titles
    return ids.take(range(cut)), labels[:cut], ids.take(range(cut, count)), labels[cut:], 4_700, "synthetic"


def _synthetic(draw: np.random.Generator, lengths: np.ndarray, labels: np.ndarray, rows: int) -> Encoded:
    """Tokens by Zipf's law; one of three, on average, is of 20 that only texts of the same label have."""
    starts = np.concatenate([[0], np.cumsum(lengths)])
    ids = 250 + np.minimum(draw.zipf(1.3, starts[-1]), rows - 251)
    telling = draw.random(starts[-1]) < 0.1
    ids[telling] = 4 + np.repeat(labels, lengths)[telling] * 20 + draw.integers(0, 20, telling.sum())
    return Encoded(ids.astype(np.int32), starts)


def _rows(path: Path) -> list[tuple[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        next(file)
        rows = [line.rstrip("\n").split("\t") for line in file]
    return [(row[0], row[-1]) for row in rows if row[-1].strip()]


def _character_ids(texts: list[str], longest: int, rows: int) -> list[list[int]]:
    ids = {"": 0}
    return [[min(ids.setdefault(c, len(ids) + 3), rows - 1) for c in text[:longest]] for text in texts]


if __name__ == "__main__":
    main()
