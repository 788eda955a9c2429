"""`lexigraft train`: matrix, transplant, training, evaluation, run folder."""

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from lexigraft import build
from lexigraft.commands.choosing import transplant_of
from lexigraft.data.datamodule import TextDataModule
from lexigraft.data.save import save_splits
from lexigraft.data.text_data import Split, TextData
from lexigraft.evaluation.inference import class_probabilities
from lexigraft.evaluation.metrics import evaluate_predictions
from lexigraft.evaluation.plots import plot_confusion, plot_curve
from lexigraft.evaluation.tables import data_text, result_table, source_text
from lexigraft.evaluation.transplant_report import TransplantReport
from lexigraft.runs.folder import RunFolder, require_writable, write_json
from lexigraft.runs.manifest import manifest
from lexigraft.training.fit import Fitted, fit
from lexigraft.training.module import ClassificationModule


def run(cfg: DictConfig) -> float:
    """Train once and leave a run folder; the best dev value of the monitored metric."""
    console, clock = Console(soft_wrap=True, highlight=False), _Clock()
    torch.set_num_threads(cfg.hardware.threads)
    recipe = _recipe(cfg)
    require_writable(Path(cfg.output_root), "output_root")
    data = build.text_data(cfg.data)
    splits = data.splits()
    _refuse_unmeasurable(cfg.trainer.monitor, data)
    clock.lap("data")
    console.print(data_text(data), markup=False)

    source = build.source_matrix(cfg.source)
    clock.lap("source")
    console.print(source_text(source.origin), markup=False)

    tokenizer = build.target_tokenizer(cfg.tokenizer, source, data.train.texts, data.language)
    encoded = {name: tokenizer.encode(split.texts, cfg.trainer.max_tokens) for name, split in splits.items()}
    clock.lap("tokenizer")
    method, tried = transplant_of(cfg, source, tokenizer, data, console)
    transplanted = method(source, tokenizer, cfg.seed, data.train.texts)
    report = TransplantReport.of(
        source, transplanted, tokenizer.counts(encoded["train"]), getattr(method, "spaces", None)
    )
    clock.lap("transplant")
    report.print(console)

    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    model, spec = build.new_classifier(cfg.model, transplanted, data.classes)
    folder = _open_folder(cfg, data, report, spec)
    if tried is not None:
        write_json(folder.transplant / "auto.json", tried)
    batches = TextDataModule(
        encoded,
        {name: split.labels for name, split in splits.items()},
        pad_id=tokenizer.pad_id,
        batch_size=cfg.trainer.batch_size,
        eval_batch_size=cfg.trainer.eval_batch_size,
        seed=cfg.seed,
        workers=cfg.trainer.workers,
    )
    try:
        fitted = _train(cfg, ClassificationModule(model, data.classes, **recipe), batches, folder, console)
    except KeyboardInterrupt:
        console.print(f"run folder  {folder.path}, unfinished: it holds what the epochs so far left", markup=False)
        raise
    clock.lap("train")

    metrics = {}
    for name in ("dev", "test") if cfg.test else ("dev",):
        probabilities = class_probabilities(model, batches.eval_loader(name), fitted.device)
        metrics[name] = evaluate_predictions(probabilities, torch.tensor(splits[name].labels), data.classes)
        plot_confusion(metrics[name]["confusion"], data.classes, folder.figures / f"confusion_{name}.png")
    plot_curve(fitted.history, folder.figures / "learning_curve.png", cfg.trainer.monitor)
    clock.lap("evaluate")
    result = {
        "status": "finished",
        "monitor": cfg.trainer.monitor,
        "best": fitted.best,
        "metrics": metrics,
        "history": fitted.history,
        "counts": _sizes(splits, encoded, model, cfg.trainer.max_tokens),
        "precision": fitted.precision,
        "device": str(fitted.device),
        "seconds": clock.seconds,
    }
    write_json(folder.result, result)
    console.print(result_table(result))
    console.print(f"run folder  {folder.path}")
    return fitted.best["value"]


def _recipe(cfg: DictConfig) -> dict[str, Any]:
    """How weights move; made first, so that a wrong setting costs no minute."""
    return {
        "optimizer": build.optimizer(cfg.optimizer),
        "schedule": build.schedule(cfg.scheduler),
        "finetune": build.finetuning(cfg.finetune),
        "weight_decay": cfg.optimizer.get("weight_decay", 0.0),
    }


def _refuse_unmeasurable(monitor: str, data: TextData) -> None:
    """`ValueError` if the dev split cannot give the metric by which the best epoch is chosen."""
    lacking = [name for i, name in enumerate(data.classes) if i not in set(data.dev.labels)]
    if monitor == "roc_auc" and lacking:
        raise ValueError(
            f"trainer.monitor=roc_auc has no value on the dev split, which lacks the class {lacking[0]!r}: "
            "choose accuracy, macro_f1 or loss"
        )


def _train(
    cfg: DictConfig, module: ClassificationModule, batches: TextDataModule, folder: RunFolder, console: Console
) -> Fitted:
    trainer, hardware = cfg.trainer, cfg.hardware
    return fit(
        module,
        batches,
        checkpoints=folder.checkpoints,
        loggers=build.loggers(cfg.logger, folder, cfg),
        console=console,
        epochs=trainer.epochs,
        monitor=trainer.monitor,
        patience=trainer.patience,
        gradient_clip=trainer.gradient_clip,
        bar=trainer.progress and console.is_terminal,
        accelerator=hardware.accelerator,
        devices=hardware.devices,
        precision=hardware.precision,
    )


def _open_folder(cfg: DictConfig, data: TextData, report: TransplantReport, spec: dict[str, Any]) -> RunFolder:
    """A new run folder with all that is known before training."""
    tokenizer = report.transplanted.matrix.tokenizer
    assert tokenizer is not None
    folder = RunFolder.create(Path(cfg.output_root), cfg.experiment, OmegaConf.to_yaml(cfg))
    write_json(folder.model, spec)
    tokenizer.save(folder.tokenizer)
    save_splits(data, folder.splits)
    report.save(folder.transplant)
    write_json(
        folder.provenance,
        manifest(
            seed=cfg.seed,
            data={
                "name": data.name,
                "sha256": {name: split.fingerprint() for name, split in data.splits().items()},
            },
            source=report.source.origin,
            target={"tokens": len(tokenizer.vocabulary), "sha256": tokenizer.vocabulary.fingerprint()},
        ),
    )
    return folder


def _sizes(
    splits: dict[str, Split], encoded: dict[str, list[list[int]]], model: torch.nn.Module, max_tokens: int
) -> dict[str, Any]:
    parameters = list(model.parameters())
    return {
        "texts": {name: len(split) for name, split in splits.items()},
        "tokens_per_text": {n: round(sum(map(len, e)) / max(1, len(e)), 3) for n, e in encoded.items()},
        "texts_at_max_tokens": {n: sum(len(ids) >= max_tokens for ids in e) for n, e in encoded.items()},
        "parameters": sum(p.numel() for p in parameters),
        "trainable_parameters": sum(p.numel() for p in parameters if p.requires_grad),
    }


class _Clock:
    """Seconds between laps, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._start = self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = round(now - self._last, 3)
        self.seconds["total"] = round(now - self._start, 3)
        self._last = now
