"""`lexigraft predict RUN`: texts in, JSON lines out."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from lexigraft import build
from lexigraft.data.batches import eval_loader
from lexigraft.data.encoding import encode_split, unlabelled
from lexigraft.runs.folder import RunFolder
from lexigraft.tasks.inference import device_here, of_each_unit, predictions
from lexigraft.tasks.texts import texts_of


def run(args: argparse.Namespace) -> None:
    """Print the task's answer (text, label, probabilities) for each text: arguments, else --file's lines, else stdin's.

    A line of a run on pairs holds both texts with a tab between them; one of a tagger units with spaces between them.
    """
    folder = RunFolder.open(Path(args.run))
    cfg = folder.read_config()
    model, tokenizer = build.trained_classifier(folder, cfg)
    task = build.trained_task(folder, cfg, args.task)
    data = cfg.data if args.task == "main" else cfg.auxiliary[args.task].data
    cleaned = build.cleaning(cfg.cleaning)
    pairs = data.get("second") is not None
    for lines in _chunks(_texts(args), args.batch_size):
        asked = cleaned.split(unlabelled(lines, task.kind, pairs), task.kind)
        encoded = encode_split(tokenizer, asked, task.kind, cfg.trainer.max_tokens)
        texts = texts_of(task, asked, encoded, tokenizer.pad_id, args.task)
        scores, _, _ = predictions(model, task, eval_loader(texts, batch_size=args.batch_size), device_here())
        for i, row in enumerate(of_each_unit(scores, encoded, asked) if task.per_token else scores):
            answer = task.answer(asked.texts[i], row)
            if asked.second is not None:
                answer = {"text": answer.pop("text"), "second": asked.second[i], **answer}
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
