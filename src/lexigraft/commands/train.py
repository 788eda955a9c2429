"""`lexigraft train`: matrix, transplant, training, evaluation, run folder."""

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger
from rich.console import Console

from lexigraft import build
from lexigraft.commands.fitting_memory import require_memory
from lexigraft.commands.preparing import Clock, Prepared, prepare
from lexigraft.data.save import save_splits
from lexigraft.data.text_data import TextData
from lexigraft.evaluation.plots import plot_confusion, plot_curve
from lexigraft.evaluation.tables import result_table, warning_text
from lexigraft.process_group import in_group, leave_group, rank, world_size
from lexigraft.runs.fingerprint import fingerprint
from lexigraft.runs.folder import RunFolder, read_json, require_writable, write_json, write_text
from lexigraft.runs.manifest import manifest, other_code, package_sha256
from lexigraft.runs.predictions import save_predictions, told
from lexigraft.runs.state import RunState, claimed
from lexigraft.tasks.inference import predictions
from lexigraft.training.checkpoint_files import PREVIOUS
from lexigraft.training.distributed.shares import SharedData
from lexigraft.training.distributed.streams import own_streams
from lexigraft.training.fit import Fitted, fit
from lexigraft.training.loggers import finish
from lexigraft.training.observing.telling import lines
from lexigraft.training.profile import StepProfiler


def run(cfg: DictConfig) -> float | None:
    """Train once and leave a run folder; the best dev value of the monitored metric.

    A finished run is not done again, unless `cfg.rerun`; one that ended before goes on from its last checkpoint.
    Several processes a run are started here, unless torchrun or srun has started them.
    """
    require_writable(Path(cfg.output_root), "output_root")
    folder = RunFolder.of(OmegaConf.to_container(cfg))  # type: ignore[arg-type]  # its keys are names
    if not _leads(cfg):
        return None if folder.finished_result() and not cfg.rerun else _trained(cfg)
    console = Console(soft_wrap=True, highlight=False)
    with claimed(folder.path):
        if cfg.rerun:
            folder.clear()
        result = folder.finished_result()
        if result is None:
            _throw_away_other_code(folder, console)
            _trained(cfg)
            result = read_json(folder.result)
        else:
            console.print("This run is finished already; rerun=true does it again.", markup=False)
            if told := _other_code(folder):
                console.print(warning_text(f"it was made by other code: {told}"))
    _print(result, console)
    console.print(f"run folder  {folder.path}", markup=False)
    value: float | None = result["best"]["value"]
    return value


def train_as_rank(cfg: DictConfig) -> float | None:
    """Train, as the only process of a run or one of several; the best dev value. The first one fills the run folder."""
    console = Console(soft_wrap=True, highlight=False, quiet=rank() > 0)
    folder = RunFolder.of(OmegaConf.to_container(cfg))  # type: ignore[arg-type]  # its keys are names
    clock = Clock()
    prepared = prepare(cfg, console, clock)
    if rank() == 0:
        _begin(cfg, prepared, folder, console)
    memory = require_memory(cfg, prepared, console)
    loggers = build.loggers(cfg.logger, folder, cfg) if rank() == 0 else []
    try:
        fitted = _train(cfg, prepared, folder, loggers, console)
    except (KeyboardInterrupt, SystemExit):
        console.print(f"run folder  {folder.path}, unfinished: the same line goes on from here", markup=False)
        raise
    leave_group()
    if rank() == 0:
        clock.lap("train")
        _finish(cfg, prepared, folder, fitted, memory, loggers, clock, console)
    value: float | None = fitted.best["value"]
    return value


def _leads(cfg: DictConfig) -> bool:
    """Whether this process holds the run: it is alone, or the first of several that somebody else has started."""
    if in_group():
        return rank() == 0
    return cfg.hardware.nodes == 1 or os.environ.get("NODE_RANK") == "0"


def _trained(cfg: DictConfig) -> float | None:
    """Train here, or in as many processes as the config says."""
    if in_group() or cfg.hardware.devices * cfg.hardware.nodes == 1:
        return train_as_rank(cfg)
    from lexigraft.training.distributed.supervisor import supervise

    return supervise(OmegaConf.to_container(cfg), cfg.hardware.devices)  # type: ignore[arg-type]  # its keys are names


def _finish(
    cfg: DictConfig,
    prepared: Prepared,
    folder: RunFolder,
    fitted: Fitted,
    memory: dict[str, Any],
    loggers: Sequence[Logger],
    clock: Clock,
    console: Console,
) -> None:
    """Measure what was trained, and leave `result.json`."""
    for line in lines(fitted.speed):
        console.print(line, markup=False)
    prepared.module.finish()
    metrics = {} if fitted.pruned else _measure(prepared, folder, fitted, test=cfg.test)
    plot_curve(fitted.history, folder.figures / "learning_curve.png", prepared.monitor)
    clock.lap("evaluate")
    result = {
        "status": "pruned" if fitted.pruned else "finished",
        "monitor": prepared.monitor,
        "best": fitted.best,
        "metrics": metrics,
        "history": fitted.history,
        "counts": _sizes(prepared, cfg.trainer.max_tokens),
        "precision": fitted.precision,
        "device": str(fitted.device),
        "processes": world_size(),
        "seconds": clock.seconds,
        "speed": fitted.speed,
        "memory": memory,
    }
    write_json(folder.result, result)
    finish(loggers, result)
    if fitted.pruned:
        replace(RunState.of_file(folder.path), name="pruned", ended=time.time()).write(folder.path)
    elif not cfg.trainer.keep_last:
        folder.last.unlink(missing_ok=True)


def _measure(prepared: Prepared, folder: RunFolder, fitted: Fitted, test: bool) -> dict[str, Any]:
    """Metrics by split, those of further tasks as "<split>/<task>"; keeps what was said of each text, and figures."""
    found: dict[str, Any] = {}
    for name, part in prepared.parts.items():
        task, cut_off = part.task, getattr(part.task, "threshold", 0.5)
        for split in ("dev", "test") if test else ("dev",):
            key = split if name == "main" else f"{split}/{name}"
            file = key.replace("/", "_")
            loader = prepared.batches.eval_loader(split, name)
            scores, labels, lengths = predictions(prepared.module.model, task, loader, fitted.device)
            metrics = found[key] = task.evaluate(scores, labels, lengths)
            of_split = part.data.splits()[split]
            said = told(task.kind, task.classes, of_split, part.encoded[split], scores, cut_off)
            save_predictions(folder.predictions / f"{file}.parquet", said)
            if "confusion" in metrics:
                plot_confusion(metrics["confusion"], task.classes, folder.figures / f"confusion_{file}.png")
    return found


def _print(result: dict[str, Any], console: Console) -> None:
    """A table for each task."""
    names = {split.partition("/")[2] for split in result["metrics"]}
    for task in sorted(names):
        own = {split: of for split, of in result["metrics"].items() if split.partition("/")[2] == task}
        console.print(result_table({"metrics": own}))


def _throw_away_other_code(folder: RunFolder, console: Console) -> None:
    """Clear the folder of an attempt that cannot be gone on with."""
    if _attempted(folder) and (told := _other_code(folder)):
        console.print(warning_text(f"an earlier attempt is thrown away, for other code made it: {told}"))
        folder.clear()


def _attempted(folder: RunFolder) -> bool:
    return folder.last.is_file() or folder.last.with_name(PREVIOUS).is_file()


def _other_code(folder: RunFolder) -> str | None:
    """Which code an earlier attempt was made by, if it was not this one."""
    code = other_code(folder)
    if code is None:
        return None
    commit = f", commit {code['git_commit'][:12]}" if code.get("git_commit") else ""
    return f"package {code['package_sha256'][:12]}{commit}, and not {package_sha256()[:12]}"


def _train(
    cfg: DictConfig, prepared: Prepared, folder: RunFolder, loggers: Sequence[Logger], console: Console
) -> Fitted:
    trainer, hardware, module = cfg.trainer, cfg.hardware, prepared.module
    batches: pl.LightningDataModule = prepared.batches
    if world_size() > 1:
        own_streams(cfg.seed, rank())
        batches = SharedData(prepared.batches, module.tasks, rank(), world_size())
    return fit(
        module,
        batches,
        checkpoints=folder.checkpoints,
        loggers=loggers,
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
        nodes=hardware.nodes,
        precision=hardware.precision,
        compile=hardware.compile,
        workers=trainer.workers,
        batch_tokens=trainer.batch_tokens,
        checkpoint_every=trainer.checkpoint_every,
        checkpoint_async=trainer.checkpoint_async,
        requeue=hardware.requeue,
    )


def _begin(cfg: DictConfig, prepared: Prepared, folder: RunFolder, console: Console) -> None:
    """Fill the run folder with all that is known before training; keep what an earlier attempt of this code left."""
    if _attempted(folder):
        console.print("resumed     from the last checkpoint of an earlier attempt", markup=False)
    report = prepared.report
    tokenizer = report.transplanted.matrix.tokenizer
    assert tokenizer is not None
    folder.begin(OmegaConf.to_yaml(cfg))
    write_json(folder.model, prepared.spec)
    tokenizer.save(folder.tokenizer)
    for name, part in prepared.parts.items():
        save_splits(part.data, folder.splits_of(name))
    report.save(folder.transplant)
    if prepared.tried is not None:
        write_json(folder.transplant / "auto.json", prepared.tried)
    record = manifest(
        seed=cfg.seed,
        data=_fingerprints(prepared.parts["main"].data)
        | {"auxiliary": {name: _fingerprints(p.data) for name, p in prepared.parts.items() if name != "main"}},
        source=report.source.origin,
        target={
            "tokens": len(tokenizer.vocabulary),
            "sha256": tokenizer.vocabulary.fingerprint(),
            "rows": fingerprint({"rows": report.transplanted.matrix.rows}),
        },
    )
    # In a file of its own: tables are made of many records, and a diff may be long.
    if diff := record["code"].pop("git_diff", ""):
        write_text(folder.diff, diff)
        record["code"]["git_diff"] = folder.diff.name
    write_json(folder.provenance, record)


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
