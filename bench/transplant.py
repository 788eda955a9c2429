"""Rows per second of each way to make 30,000 new rows, on the machine's own cores.

python bench/transplant.py [--rows 30000] [--source 50000] [--dim 300]
"""

import argparse
import time
from functools import partial

import tokenizers
import torch
from rich.console import Console
from rich.table import Table

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.transplant.engine import Transplant
from lexigraft.transplant.statistics import mean, normal, zero
from lexigraft.transplant.subtokens import subtokens
from lexigraft.vocab.tokenizer import Tokenizer
from lexigraft.vocab.vocabulary import Token, Vocabulary

FILLS = {"subtoken_mean": [subtokens, normal], "normal": [normal], "mean": [mean], "zero": [zero]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=30_000, help="new rows")
    parser.add_argument("--source", type=int, default=50_000, help="source rows")
    parser.add_argument("--dim", type=int, default=300)
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()

    source, target = _source(args.source, args.dim), _target(args.rows, args.source)
    table = Table(title=f"{args.rows:,} new rows of width {args.dim} out of {args.source:,}; fastest of {args.repeat}")
    table.add_column("method")
    table.add_column("seconds", justify="right")
    table.add_column("rows/s", justify="right")
    for name, fill in FILLS.items():
        seconds = min(_seconds(partial(Transplant(fill), source, target, 0)) for _ in range(args.repeat))
        table.add_row(name, f"{seconds:.3f}", f"{args.rows / seconds:,.0f}")
    Console().print(table)


def _seconds(work: partial) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _source(count: int, dim: int) -> EmbeddingMatrix:
    """A source whose tokenizer spells any new token in three pieces."""
    tokens = tuple(Token(f"s{i}".encode(), True) for i in range(count))

    def segment(token: Token) -> list[int]:
        number = int(token.surface[1:])
        return [number % count, number * 7 % count, number * 13 % count]

    rows = torch.randn(count, dim, generator=torch.Generator().manual_seed(0))
    return EmbeddingMatrix(Vocabulary(tokens, segment=segment), rows, {"name": "synthetic"})


def _target(new: int, shared: int) -> Tokenizer:
    words = [f"s{i}" for i in range(shared // 2)] + [f"n{i}" for i in range(new)]
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({w: i for i, w in enumerate(words)}, words[0]))
    return Tokenizer(backend, Vocabulary.of_words(words))


if __name__ == "__main__":
    main()
