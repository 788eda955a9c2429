"""A run from its config to its folder: claimed, trained in one process or several, told. Each command adds its own."""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger
from rich.console import Console

from lexigraft import build
from lexigraft.config.errors import did_you_mean, nearest
from lexigraft.evaluation.plots import plot_curve
from lexigraft.evaluation.tables import warning_text
from lexigraft.process_group import in_group, leave_group, rank, world_size
from lexigraft.runs.folder import RunFolder, read_json, require_writable, write_json, write_text
from lexigraft.runs.manifest import other_code, package_sha256
from lexigraft.runs.state import RunState, claimed
from lexigraft.training.batch_size import FittingMicroBatch
from lexigraft.training.checkpoint_files import PREVIOUS, CheckpointFiles
from lexigraft.training.distributed.streams import own_streams
from lexigraft.training.fit import Fitted, fit
from lexigraft.training.observing.telling import lines
from lexigraft.training.profile import StepProfiler
from lexigraft.training.tracking.mirror import finish


class Clock:
    """Seconds between laps, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._start = self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """End the lap of that name."""
        now = time.perf_counter()
        self.seconds[name] = round(now - self._last, 3)
        self.seconds["total"] = round(now - self._start, 3)
        self._last = now


class Training(ABC):
    """What a command that trains does in its own way.

    `work` names the function that a process of the run calls with the config, as "package.module:function". What
    `prepare` returns has at least `module` and `monitor`.
    """

    work: ClassVar[str]

    @abstractmethod
    def prepare(self, cfg: DictConfig, console: Console, clock: Clock) -> Any:
        """All that stands before the first step; says on the console what was found."""

    @abstractmethod
    def begin(self, cfg: DictConfig, prepared: Any, folder: RunFolder) -> dict[str, Any]:
        """Fill the run folder with all that is known before training, config and provenance apart; the latter."""

    @abstractmethod
    def batches(self, cfg: DictConfig, prepared: Any) -> pl.LightningDataModule:
        """What this process trains and measures on."""

    @abstractmethod
    def result(
        self, cfg: DictConfig, prepared: Any, folder: RunFolder, fitted: Fitted, console: Console
    ) -> dict[str, Any]:
        """Measure and keep what was trained: at least "metrics" by split, and "counts"."""

    @abstractmethod
    def tell(self, result: dict[str, Any], folder: RunFolder, console: Console) -> None:
        """Print what came out."""

    def memory(self, cfg: DictConfig, prepared: Any, console: Console) -> dict[str, Any] | None:
        """The plan of the run's memory; `ValueError` where it is clearly too big."""
        return None

    def fitting(self, cfg: DictConfig, prepared: Any, console: Console) -> FittingMicroBatch | None:
        """What finds how many texts fit at once, if that was asked for."""
        return None


def run(cfg: DictConfig, training: Training) -> float | None:
    """Train once and leave a run folder; the best dev value of the monitored metric.

    A finished run is not done again, unless `cfg.rerun`; one that ended before goes on from its last checkpoint.
    Several processes a run are started here, unless torchrun or srun has started them.
    """
    require_writable(Path(cfg.output_root), "output_root")
    folder = RunFolder.of(OmegaConf.to_container(cfg))  # type: ignore[arg-type]  # its keys are names
    if not _leads(cfg):
        return None if folder.finished_result() and not cfg.rerun else _trained(cfg, training)
    return in_folder(cfg, folder, lambda _: _trained(cfg, training), training.tell)


def in_folder(
    cfg: DictConfig,
    folder: RunFolder,
    make: Callable[[Console], Any],
    tell: Callable[[dict[str, Any], RunFolder, Console], None],
) -> float | None:
    """Hold the folder, let `make` leave a result in it unless there is one, and `tell` of that; the best dev value."""
    console = Console(soft_wrap=True, highlight=False)
    with claimed(folder.path):
        if cfg.rerun:
            folder.clear()
        result = folder.finished_result()
        if result is None:
            _throw_away_other_code(folder, console)
            make(console)
            result = read_json(folder.result)
        else:
            console.print("This run is finished already; rerun=true does it again.", markup=False)
            if told := _other_code(folder):
                console.print(warning_text(f"it was made by other code: {told}"))
    tell(result, folder, console)
    console.print(f"run folder  {folder.path}", markup=False)
    value: float | None = result["best"]["value"]
    return value


def run_as_rank(cfg: DictConfig, training: Training) -> float | None:
    """Train, as the only process of a run or one of several; the best dev value. The first one fills the run folder."""
    console = Console(soft_wrap=True, highlight=False, quiet=rank() > 0)
    folder = RunFolder.of(OmegaConf.to_container(cfg))  # type: ignore[arg-type]  # its keys are names
    clock = Clock()
    prepared = training.prepare(cfg, console, clock)
    if rank() == 0:
        if _attempted(folder):
            console.print("resumed     from the last checkpoint of an earlier attempt", markup=False)
        _begin(cfg, training, prepared, folder)
    memory = training.memory(cfg, prepared, console)
    loggers = build.loggers(cfg.logger, folder, cfg) if rank() == 0 else []
    try:
        fitted = _fit(cfg, training, prepared, folder, loggers, console)
    except (KeyboardInterrupt, SystemExit):
        console.print(f"run folder  {folder.path}, unfinished: the same line goes on from here", markup=False)
        raise
    leave_group()
    if rank() == 0:
        clock.lap("train")
        for line in lines(fitted.speed):
            console.print(line, markup=False)
        own = training.result(cfg, prepared, folder, fitted, console)
        plot_curve(fitted.history, folder.figures / "learning_curve.png", prepared.monitor)
        clock.lap("evaluate")
        _finish(cfg, folder, fitted, prepared.monitor, {**own, "seconds": clock.seconds, "memory": memory}, loggers)
    value: float | None = fitted.best["value"]
    return value


def require_metric(key: str, name: str | None, known: Sequence[str], of: str) -> None:
    """`ValueError` where the value of a key is none of the metrics that are known of a task, or whatever `of` says."""
    if name is not None and name not in known:
        meant = did_you_mean(*nearest(name, known)) or f"; choose {', '.join(known)}"
        raise ValueError(f"{key}={name} is no metric of this {of}{meant}")


def _leads(cfg: DictConfig) -> bool:
    """Whether this process holds the run: it is alone, or the first of several that somebody else has started."""
    if in_group():
        return rank() == 0
    return cfg.hardware.nodes == 1 or os.environ.get("NODE_RANK") == "0"


def _trained(cfg: DictConfig, training: Training) -> float | None:
    """Train here, or in as many processes as the config says."""
    if in_group() or cfg.hardware.devices * cfg.hardware.nodes == 1:
        return run_as_rank(cfg, training)
    from lexigraft.training.distributed.supervisor import supervise

    values: Any = OmegaConf.to_container(cfg)
    return supervise(values, cfg.hardware.devices, work=training.work)


def _begin(cfg: DictConfig, training: Training, prepared: Any, folder: RunFolder) -> None:
    """Fill the run folder; what an earlier attempt of this code left stays."""
    folder.begin(OmegaConf.to_yaml(cfg))
    record = training.begin(cfg, prepared, folder)
    # In a file of its own: tables are made of many records, and a diff may be long.
    if diff := record["code"].pop("git_diff", ""):
        write_text(folder.diff, diff)
        record["code"]["git_diff"] = folder.diff.name
    write_json(folder.provenance, record)


def _fit(
    cfg: DictConfig,
    training: Training,
    prepared: Any,
    folder: RunFolder,
    loggers: Sequence[Logger],
    console: Console,
) -> Fitted:
    trainer, hardware = cfg.trainer, cfg.hardware
    if world_size() > 1:
        own_streams(cfg.seed, rank())
    return fit(
        prepared.module,
        training.batches(cfg, prepared),
        checkpoints=folder.checkpoints,
        loggers=loggers,
        console=console,
        epochs=trainer.epochs,
        monitor=prepared.monitor,
        patience=trainer.patience,
        gradient_clip=trainer.gradient_clip,
        gradient_clip_by=trainer.gradient_clip_by,
        accumulate=trainer.accumulate,
        fitting=training.fitting(cfg, prepared, console),
        averaging=build.averaging(cfg.averaging),
        profiler=StepProfiler(folder.path, console) if trainer.profile else None,
        bar=trainer.progress and console.is_terminal,
        accelerator=hardware.accelerator,
        devices=hardware.devices,
        nodes=hardware.nodes,
        strategy=hardware.strategy,
        cpu_offload=hardware.cpu_offload,
        activation_checkpointing=hardware.activation_checkpointing,
        precision=hardware.precision,
        compile=hardware.compile,
        workers=trainer.workers,
        batch_tokens=trainer.batch_tokens,
        checkpoint_every=trainer.checkpoint_every,
        checkpoint_async=trainer.checkpoint_async,
        requeue=hardware.requeue,
    )


def _finish(
    cfg: DictConfig,
    folder: RunFolder,
    fitted: Fitted,
    monitor: str,
    own: dict[str, Any],
    loggers: Sequence[Logger],
) -> None:
    """Leave `result.json`, tell the loggers, and take away what only a resumption needs."""
    result = {
        "status": "pruned" if fitted.pruned else "finished",
        "monitor": monitor,
        "best": fitted.best,
        "history": fitted.history,
        "precision": fitted.precision,
        "device": str(fitted.device),
        "processes": world_size(),
        "micro_batch": fitted.micro_batch,
        "speed": fitted.speed,
        **own,
    }
    write_json(folder.result, result)
    finish(loggers, result)
    if fitted.pruned:
        replace(RunState.of_file(folder.path), name="pruned", ended=time.time()).write(folder.path)
    elif not cfg.trainer.keep_last:
        CheckpointFiles(folder.checkpoints).drop_last()


def _throw_away_other_code(folder: RunFolder, console: Console) -> None:
    """Clear the folder of an attempt that cannot be gone on with."""
    if _attempted(folder) and (told := _other_code(folder)):
        console.print(warning_text(f"an earlier attempt is thrown away, for other code made it: {told}"))
        folder.clear()


def _attempted(folder: RunFolder) -> bool:
    return folder.last.exists() or folder.last.with_name(PREVIOUS).exists()


def _other_code(folder: RunFolder) -> str | None:
    """Which code an earlier attempt was made by, if it was not this one."""
    code = other_code(folder)
    if code is None:
        return None
    commit = f", commit {code['git_commit'][:12]}" if code.get("git_commit") else ""
    return f"package {code['package_sha256'][:12]}{commit}, and not {package_sha256()[:12]}"
