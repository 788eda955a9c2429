"""`lexigraft train`: matrix, transplant, training, evaluation, run folder."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from lexigraft import build
from lexigraft.commands.preparing import Clock, Prepared, prepare
from lexigraft.data.save import save_splits
from lexigraft.data.text_data import TextData
from lexigraft.evaluation.plots import plot_confusion, plot_curve
from lexigraft.evaluation.tables import result_table
from lexigraft.runs.folder import RunFolder, write_json
from lexigraft.runs.manifest import manifest
from lexigraft.tasks.inference import predictions
from lexigraft.training.fit import Fitted, fit
from lexigraft.training.profile import StepProfiler


def run(cfg: DictConfig) -> float:
    """Train once and leave a run folder; the best dev value of the monitored metric."""
    console, clock = Console(soft_wrap=True, highlight=False), Clock()
    prepared = prepare(cfg, console, clock)
    folder = _open_folder(cfg, prepared)
    try:
        fitted = _train(cfg, prepared, folder, console)
    except KeyboardInterrupt:
        console.print(f"run folder  {folder.path}, unfinished: it holds what the epochs so far left", markup=False)
        raise
    clock.lap("train")
    prepared.module.finish()

    metrics = {}
    for task, part in prepared.parts.items():
        for split in ("dev", "test") if cfg.test else ("dev",):
            name = split if task == "main" else f"{split}/{task}"
            loader = prepared.batches.eval_loader(split, task)
            metrics[name] = part.task.evaluate(*predictions(prepared.module.model, part.task, loader, fitted.device))
            if "confusion" in metrics[name]:
                figure = folder.figures / f"confusion_{name.replace('/', '_')}.png"
                plot_confusion(metrics[name]["confusion"], part.task.classes, figure)
    plot_curve(fitted.history, folder.figures / "learning_curve.png", prepared.monitor)
    clock.lap("evaluate")
    result = {
        "status": "finished",
        "monitor": prepared.monitor,
        "best": fitted.best,
        "metrics": metrics,
        "history": fitted.history,
        "counts": _sizes(prepared, cfg.trainer.max_tokens),
        "precision": fitted.precision,
        "device": str(fitted.device),
        "seconds": clock.seconds,
    }
    write_json(folder.result, result)
    for task in prepared.parts:
        own = {name: of for name, of in metrics.items() if name.partition("/")[2] == (task if task != "main" else "")}
        console.print(result_table({"metrics": own}))
    console.print(f"run folder  {folder.path}")
    return fitted.best["value"]


def _train(cfg: DictConfig, prepared: Prepared, folder: RunFolder, console: Console) -> Fitted:
    trainer, hardware = cfg.trainer, cfg.hardware
    return fit(
        prepared.module,
        prepared.batches,
        checkpoints=folder.checkpoints,
        loggers=build.loggers(cfg.logger, folder, cfg),
        console=console,
        epochs=trainer.epochs,
        monitor=prepared.monitor,
        patience=trainer.patience,
        gradient_clip=trainer.gradient_clip,
        gradient_clip_by=trainer.gradient_clip_by,
        accumulate=trainer.accumulate,
        averaging=build.averaging(cfg.averaging),
        profiler=StepProfiler(folder.path, console) if trainer.profile else None,
        bar=trainer.progress and console.is_terminal,
        accelerator=hardware.accelerator,
        devices=hardware.devices,
        precision=hardware.precision,
        compile=hardware.compile,
    )


def _open_folder(cfg: DictConfig, prepared: Prepared) -> RunFolder:
    """A new run folder with all that is known before training."""
    report = prepared.report
    tokenizer = report.transplanted.matrix.tokenizer
    assert tokenizer is not None
    folder = RunFolder.create(Path(cfg.output_root), cfg.experiment, OmegaConf.to_yaml(cfg))
    write_json(folder.model, prepared.spec)
    tokenizer.save(folder.tokenizer)
    for name, part in prepared.parts.items():
        save_splits(part.data, folder.splits_of(name))
    report.save(folder.transplant)
    if prepared.tried is not None:
        write_json(folder.transplant / "auto.json", prepared.tried)
    write_json(
        folder.provenance,
        manifest(
            seed=cfg.seed,
            data=_fingerprints(prepared.parts["main"].data)
            | {"auxiliary": {name: _fingerprints(p.data) for name, p in prepared.parts.items() if name != "main"}},
            source=report.source.origin,
            target={"tokens": len(tokenizer.vocabulary), "sha256": tokenizer.vocabulary.fingerprint()},
        ),
    )
    return folder


def _fingerprints(data: TextData) -> dict[str, Any]:
    return {"name": data.name, "sha256": {name: split.fingerprint() for name, split in data.splits().items()}}


def _sizes(prepared: Prepared, max_tokens: int) -> dict[str, Any]:
    parameters = list(prepared.module.model.parameters())
    main = prepared.parts["main"]
    lengths = {name: encoded.lengths() for name, encoded in main.encoded.items()}
    return {
        "texts": {name: len(split) for name, split in main.data.splits().items()},
        "tokens_per_text": {n: round(float(of.sum()) / max(1, len(of)), 3) for n, of in lengths.items()},
        "texts_at_max_tokens": {n: int((of >= max_tokens).sum()) for n, of in lengths.items()},
        "active_rows": prepared.active_rows,
        "parameters": sum(p.numel() for p in parameters),
        "trainable_parameters": sum(p.numel() for p in parameters if p.requires_grad),
    }
