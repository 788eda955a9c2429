"""`lexigraft evaluate RUN`: the metrics of a trained run on its own splits, or on another labelled file."""

import argparse
from pathlib import Path

import torch
from rich.console import Console

from lexigraft import build
from lexigraft.data.batches import eval_loader
from lexigraft.data.encoding import encode_split, lost_units
from lexigraft.data.files import read_labelled
from lexigraft.data.save import load_split
from lexigraft.evaluation.tables import lost_text, result_table, warning_text
from lexigraft.runs.folder import RunFolder, write_json
from lexigraft.tasks.inference import device_here, predictions
from lexigraft.tasks.texts import texts_of


def run(args: argparse.Namespace) -> None:
    """Evaluate the best checkpoint and write `evaluation_<name>.json` into the run folder."""
    folder = RunFolder.open(Path(args.run))
    cfg = folder.read_config()
    model, tokenizer = build.trained_classifier(folder, cfg)
    task = build.trained_task(folder, cfg, args.task)
    if args.file:
        data = cfg.data if args.task == "main" else cfg.auxiliary[args.task].data
        columns = {key: data.get(key, key) for key in ("text", "label")} | {"second": data.get("second")}
        name, split = Path(args.file).name, read_labelled(Path(args.file), task.classes, kind=task.kind, **columns)
        split = build.cleaning(cfg.cleaning).split(split, task.kind, name)
    else:
        name, split = args.split, load_split(folder.splits_of(args.task), args.split)
    encoded = encode_split(tokenizer, split, task.kind, cfg.trainer.max_tokens)
    console = Console(soft_wrap=True, highlight=False)
    if lost := lost_units(encoded, split):
        console.print(warning_text(lost_text(name, lost)))
    texts = texts_of(task, split, encoded, tokenizer.pad_id, args.task)
    loader = eval_loader(texts, batch_size=cfg.trainer.eval_batch_size)
    device = device_here()
    metrics = task.evaluate(*predictions(model, task, loader, device, _precision(folder, device)))
    console.print(result_table({"metrics": {name: metrics}}))
    of_task = "" if args.task == "main" else f"{args.task}_"
    write_json(folder.path / f"evaluation_{of_task}{name}.json", metrics)


def _precision(folder: RunFolder, device: torch.device) -> str:
    """That in which the run was measured, on the same kind of device; elsewhere, where it may be slow, float32."""
    result = folder.finished_result()
    return result["precision"] if result and torch.device(result["device"]).type == device.type else "32"
