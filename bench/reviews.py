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

import argparse
import importlib.util
import os
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sides import Portion, character_ids, labelled_rows, now, ratio, synthetic, trained, use_threads, verdict
from torch import nn
from torch.nn.functional import cross_entropy

from lexigraft.data.batches import BucketedBatches, EncodedText
from lexigraft.data.datamodule import TextDataModule
from lexigraft.data.encoded import Encoded
from lexigraft.models.active import activate
from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.pooling import First
from lexigraft.models.pretrained import Pretrained
from lexigraft.training.schedule import Linear

LEAST = {"loop": 0.97, "Trainer": 1.5}
BATCH, LR, DECAY = 32, 1e-4, 0.01
CUT = 128  # tokens of a text where accuracy is measured


@dataclass(frozen=True)
class Sizes:
    """How much is trained: so many `batches` in each block."""

    rows: int = 21_128
    width: int = 384
    layers: int = 6
    texts: int = 9_600
    batches: int = 8  # the block is what Trainer shuffles: with few batches of similar length it would not pad
    rounds: int = 5


SMALL = Sizes(300, 24, 1, 120, 2, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="tiny sizes")
    parser.add_argument("--rounds", type=int, help="blocks of each side")
    parser.add_argument("--batches", type=int, help="in each block")
    parser.add_argument("--cpu-time", action="store_true", help="on one thread, by its CPU time: for busy machines")
    parser.add_argument("--accuracy", type=int, metavar="EPOCHS", help="instead, the dev accuracy after so many epochs")
    arguments = parser.parse_args()
    use_threads(arguments.cpu_time)
    sizes = SMALL if arguments.small else Sizes()
    sizes = replace(sizes, batches=arguments.batches or sizes.batches, rounds=arguments.rounds or sizes.rounds)
    if arguments.accuracy:
        accuracy(sizes if arguments.small else replace(sizes, width=192, layers=2), arguments.accuracy)
    else:
        throughput(sizes, arguments.small)


def throughput(sizes: Sizes, small: bool) -> None:
    """BERT-type backbone: lexigraft, the loop, Trainer."""
    (train, labels), _, origin = texts_of(sizes)
    dataset = EncodedText(train, labels, pad_id=0)
    lengths = train.lengths()
    epoch = BucketedBatches(lengths, BATCH, seed=0).batches(0)
    cells = sum(len(batch) * lengths[batch].max() for batch in epoch)
    print(f"reviews ({origin}): {len(train):,} texts, {lengths.mean():.0f} tokens on average, {lengths.max()} at most;")
    print(f"  batches of {BATCH} of similar length: {1 - lengths.sum() / cells:.1%} of the cells are padding\n")
    start = bert(sizes)
    sides: dict[str, Callable[[list[list[int]]], float]] = {
        "lexigraft": partial(lexigraft_seconds, sizes, start, dataset, True),
        "lexigraft, all rows": partial(lexigraft_seconds, sizes, start, dataset, False),
        "loop": partial(loop_seconds, sizes, start, dataset),
    }
    if importlib.util.find_spec("accelerate") is not None:  # Trainer needs it, lexigraft does not
        sides["Trainer"] = partial(trainer_seconds, sizes, start, dataset)
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
    start = bert(sizes)
    model = classifier(sizes, start, np.concatenate([train.ids, dev.ids]))
    data = TextDataModule({"main": {"train": parts[0], "dev": parts[1]}}, batch_size=BATCH, eval_batch_size=256, seed=0)
    module, fitted = trained(model, 2, data, LR, epochs, Linear())
    history = [round(row["dev_accuracy"], 4) for row in fitted.history]
    print(f"lexigraft   {history[-1]:.4f}   ({module.train_seconds:.0f} s of training; epochs {history})", flush=True)
    seconds, found = trained_by_trainer(sizes, start, *parts, epochs)
    print(f"Trainer     {found:.4f}   ({seconds:.0f} s of training)")


def classifier(sizes: Sizes, start: nn.Module, used: np.ndarray | None) -> Classifier:
    """Lexigraft's network with the backbone's weights; of its rows those of `used` ids are trained, None: all."""
    words = start.get_input_embeddings().weight.detach()
    embedding = TransplantedEmbedding(words, 0)
    if used is not None:
        activate(embedding, torch.from_numpy(np.unique(used)))
    encoder = Pretrained(sizes.width, config=dict(start.config.to_dict()))
    encoder.load_backbone({k: v for k, v in start.state_dict().items() if "word_embeddings" not in k})
    return Classifier(embedding, encoder, First(encoder.width), {"main": Head(2)}, head_dropout=0.1)


def lexigraft_seconds(
    sizes: Sizes, start: nn.Module, dataset: EncodedText, active: bool, batches: list[list[int]]
) -> float:
    """Seconds of a block."""
    model = classifier(sizes, start, dataset.encoded.ids if active else None)
    dev = EncodedText(dataset.encoded.take(range(4)), [0, 1, 0, 1], pad_id=0)
    data = TextDataModule({"main": {"train": dataset, "dev": dev}}, batch_size=BATCH, eval_batch_size=256, seed=0)
    data.batches = Portion(batches)
    module, _ = trained(model, 2, data, LR)
    return module.train_seconds


def loop_seconds(sizes: Sizes, start: nn.Module, dataset: EncodedText, batches: list[list[int]]) -> float:
    """Seconds of a block of a loop as one writes it by hand."""
    from transformers import BertModel

    body = BertModel(start.config, add_pooling_layer=False)
    body.load_state_dict(start.state_dict())
    head = nn.Sequential(nn.Dropout(0.1), nn.Linear(sizes.width, 2))
    model = nn.ModuleList([body, head]).train()
    decayed = [p for n, p in model.named_parameters() if p.ndim > 1 and "embeddings" not in n]
    spared = [p for n, p in model.named_parameters() if p.ndim < 2 or "embeddings" in n]
    groups = [{"params": decayed, "weight_decay": DECAY}, {"params": spared, "weight_decay": 0.0}]
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


def trainer_seconds(sizes: Sizes, start: nn.Module, dataset: EncodedText, batches: list[list[int]]) -> float:
    """Seconds of a block of transformers.Trainer."""
    encoded, targets = dataset.encoded, dataset.targets
    rows = [i for batch in batches for i in batch]
    of_block = EncodedText(encoded.take(rows), targets[rows], pad_id=0)
    return trained_by_trainer(sizes, start, of_block, None)[0]


def trained_by_trainer(
    sizes: Sizes, start: nn.Module, train: EncodedText, dev: EncodedText | None, epochs: int = 1
) -> tuple[float, float]:
    """Seconds and dev accuracy of transformers.Trainer with its defaults, but for batch size, rate and decay."""
    from transformers import BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

    class Clock(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.began = now()

        def on_train_end(self, *_: Any, **__: Any) -> None:
            self.seconds = now() - self.began

    model = BertForSequenceClassification(start.config)
    model.bert.load_state_dict(start.state_dict(), strict=False)
    clock = Clock()
    with tempfile.TemporaryDirectory(prefix="lexigraft-bench-") as folder:
        arguments = TrainingArguments(
            output_dir=folder, per_device_train_batch_size=BATCH, learning_rate=LR, num_train_epochs=epochs,
            weight_decay=DECAY, use_cpu=True, save_strategy="no", report_to="none", disable_tqdm=True,
        )  # fmt: skip
        trainer = Trainer(
            model=model, args=arguments, train_dataset=_examples(train), callbacks=[clock],
            processing_class=_pad_only(),
        )  # fmt: skip
        trainer.log = lambda *_: None  # type: ignore[method-assign]  # it prints
        trainer.train()
        if dev is None:
            return clock.seconds, 0.0
        said = trainer.predict(_examples(dev)).predictions.argmax(1)
    return clock.seconds, float((said == dev.targets.numpy()).mean())


def _examples(texts: EncodedText) -> list[dict[str, Any]]:
    encoded = texts.encoded
    return [{"input_ids": encoded[i].tolist(), "label": int(texts.targets[i])} for i in range(len(texts))]


def bert(sizes: Sizes) -> Any:
    """The backbone with its random weights."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=sizes.rows, hidden_size=sizes.width, num_hidden_layers=sizes.layers, num_attention_heads=12,
        intermediate_size=4 * sizes.width, max_position_embeddings=512,
    )  # fmt: skip
    torch.manual_seed(0)
    return BertModel(config, add_pooling_layer=False)


def _pad_only() -> Any:
    """A tokenizer of which Trainer needs only the padding."""
    import tokenizers
    from transformers import PreTrainedTokenizerFast

    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[PAD]": 0, "[UNK]": 1}, unk_token="[UNK]"))
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]")


def texts_of(sizes: Sizes, longest: int = 512) -> tuple[tuple[Encoded, np.ndarray], tuple[Encoded, np.ndarray], str]:
    """Ids and labels of train and dev: ChnSentiCorp by characters, or texts of the lengths that were measured there."""
    data = os.environ.get("LEXIGRAFT_DATA")
    if data and sizes.texts == Sizes.texts:
        folder = Path(data) / "zh_chnsenticorp"
        train, dev = labelled_rows(folder / "train.tsv.gz"), labelled_rows(folder / "dev.tsv.gz")
        ids = character_ids([text for _, text in train + dev], longest - 2, sizes.rows)
        encoded = Encoded.of([[2, *text, 3] for text in ids])
        labels = np.array([int(label) for label, _ in train + dev])
        cut, origin = len(train), "ChnSentiCorp"
    else:
        draw = np.random.default_rng(0)
        count, cut, origin = sizes.texts + sizes.texts // 8, sizes.texts, "synthetic"
        lengths = draw.lognormal(4.33, 0.72, count).astype(int).clip(5, longest if sizes.texts > 1000 else 40)
        labels = draw.integers(0, 2, count)
        encoded = synthetic(draw, lengths, labels, min(4_500, sizes.rows))
    rest = range(cut, len(labels))
    return (encoded.take(range(cut)), labels[:cut]), (encoded.take(rest), labels[cut:]), origin


if __name__ == "__main__":
    main()
