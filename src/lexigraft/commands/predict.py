"""`lexigraft predict RUN`: texts in, JSON lines out."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from omegaconf import OmegaConf

from lexigraft import build
from lexigraft.data.batches import eval_loader
from lexigraft.evaluation.inference import class_probabilities
from lexigraft.runs.folder import RunFolder


def run(args: argparse.Namespace) -> None:
    """Print `{"text", "label", "probabilities"}` for each text: arguments, else --file's lines, else stdin's."""
    folder = RunFolder.open(Path(args.run))
    cfg = OmegaConf.load(folder.config)
    model, tokenizer, classes = build.trained_classifier(folder, cfg.model)
    for texts in _chunks(_texts(args), args.batch_size):
        ids = tokenizer.encode(texts, cfg.trainer.max_tokens)
        loader = eval_loader(ids, [0] * len(ids), pad_id=tokenizer.pad_id, batch_size=args.batch_size)
        for text, row in zip(texts, class_probabilities(model, loader).tolist()):
            answer = {
                "text": text,
                "label": classes[row.index(max(row))],
                "probabilities": {name: round(p, 6) for name, p in zip(classes, row)},
            }
            print(json.dumps(answer, ensure_ascii=False), flush=True)


def _texts(args: argparse.Namespace) -> Iterator[str]:
    if args.text:
        yield from args.text
    elif args.file:
        with open(args.file, "rb") as lines:
            yield from _decoded(args.file, lines)
    else:
        yield from _decoded("stdin", sys.stdin.buffer)


def _decoded(where: str, lines: Iterable[bytes]) -> Iterator[str]:
    """Lines without their ends and a byte order mark; `ValueError` names the first that is not UTF-8."""
    for number, line in enumerate(lines, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise ValueError(
                f"{where}, line {number} is not UTF-8: convert it, e.g. iconv -f GB18030 -t UTF-8"
            ) from None


def _chunks(texts: Iterator[str], size: int) -> Iterator[list[str]]:
    while chunk := list(islice(texts, size)):
        yield chunk
