"""`lexigraft evaluate RUN`: the metrics of a trained run on its own splits, or on another labelled file."""

import argparse
from pathlib import Path

import torch
from omegaconf import OmegaConf
from rich.console import Console

from lexigraft import build
from lexigraft.data.batches import eval_loader
from lexigraft.data.files import read_labelled
from lexigraft.data.save import load_split
from lexigraft.evaluation.inference import class_probabilities
from lexigraft.evaluation.metrics import evaluate_predictions
from lexigraft.evaluation.tables import result_table
from lexigraft.runs.folder import RunFolder, write_json


def run(args: argparse.Namespace) -> None:
    """Evaluate the best checkpoint and write `evaluation_<name>.json` into the run folder."""
    folder = RunFolder.open(Path(args.run))
    cfg = OmegaConf.load(folder.config)
    model, tokenizer, classes = build.trained_classifier(folder, cfg.model)
    if args.file:
        columns = {key: cfg.data.get(key, key) for key in ("text", "label")}
        name, split = Path(args.file).name, read_labelled(Path(args.file), classes, **columns)
    else:
        name, split = args.split, load_split(folder.splits, args.split)
    loader = eval_loader(
        tokenizer.encode(split.texts, cfg.trainer.max_tokens),
        split.labels,
        pad_id=tokenizer.pad_id,
        batch_size=cfg.trainer.eval_batch_size,
    )
    metrics = evaluate_predictions(class_probabilities(model, loader), torch.tensor(split.labels), classes)
    Console(soft_wrap=True, highlight=False).print(result_table({"metrics": {name: metrics}}))
    write_json(folder.path / f"evaluation_{name}.json", metrics)
