"""`lexigraft train`: matrix, transplant, training, evaluation, run folder."""

from functools import partial
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig
from rich.console import Console

from lexigraft.commands import running
from lexigraft.commands.fitting_memory import require_memory
from lexigraft.commands.preparing import Prepared, prepare
from lexigraft.commands.running import Clock
from lexigraft.data.save import save_splits
from lexigraft.data.text_data import TextData
from lexigraft.evaluation.plots import plot_confusion
from lexigraft.evaluation.tables import result_table
from lexigraft.process_group import rank, world_size
from lexigraft.runs.fingerprint import fingerprint
from lexigraft.runs.folder import RunFolder, write_json
from lexigraft.runs.manifest import manifest
from lexigraft.runs.predictions import save_predictions, told
from lexigraft.tasks.inference import predictions
from lexigraft.training.batch_size import FittingMicroBatch, largest_batch, longest_texts, spare_memory
from lexigraft.training.distributed.datamodule import SharedData
from lexigraft.training.fit import Fitted


def run(cfg: DictConfig) -> float | None:
    """Train once and leave a run folder, see `running.run`; the best dev value of the monitored metric."""
    return running.run(cfg, Supervised())


def train_as_rank(cfg: DictConfig) -> float | None:
    """Train as a process of a run that another one has started."""
    return running.run_as_rank(cfg, Supervised())


class Supervised(running.Training):
    """A classifier over transplanted rows."""

    work = "lexigraft.commands.train:train_as_rank"

    def prepare(self, cfg: DictConfig, console: Console, clock: Clock) -> Prepared:
        return prepare(cfg, console, clock)

    def begin(self, cfg: DictConfig, prepared: Prepared, folder: RunFolder) -> dict[str, Any]:
        report = prepared.report
        tokenizer = report.transplanted.matrix.tokenizer
        assert tokenizer is not None
        write_json(folder.model, prepared.spec)
        tokenizer.save(folder.tokenizer)
        for name, part in prepared.parts.items():
            save_splits(part.data, folder.splits_of(name))
        report.save(folder.transplant)
        if prepared.tried is not None:
            write_json(folder.transplant / "auto.json", prepared.tried)
        return manifest(
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

    def memory(self, cfg: DictConfig, prepared: Prepared, console: Console) -> dict[str, Any]:
        return require_memory(cfg, prepared, console)

    def batches(self, cfg: DictConfig, prepared: Prepared) -> pl.LightningDataModule:
        if world_size() == 1:
            return prepared.batches
        return SharedData(prepared.batches, prepared.module.tasks, rank(), world_size())

    def fitting(self, cfg: DictConfig, prepared: Prepared, console: Console) -> FittingMicroBatch | None:
        if cfg.trainer.micro_batch != "auto":
            return None
        tasks = prepared.batches.tasks
        return FittingMicroBatch(
            partial(longest_texts, tasks),
            largest_batch(tasks, cfg.trainer.batch_size, world_size()),
            ready=partial(prepared.module.train_as_in, cfg.trainer.epochs - 1),
            memory=partial(spare_memory, cfg.hardware.accelerator, cfg.hardware.devices),
            say=partial(console.print, markup=False),
        )

    def result(
        self, cfg: DictConfig, prepared: Prepared, folder: RunFolder, fitted: Fitted, console: Console
    ) -> dict[str, Any]:
        prepared.module.finish()
        return {
            "metrics": {} if fitted.pruned else _measure(prepared, folder, fitted, test=cfg.test),
            "counts": _sizes(prepared, cfg.trainer.max_tokens),
        }

    def tell(self, result: dict[str, Any], folder: RunFolder, console: Console) -> None:
        """A table for each task."""
        names = {split.partition("/")[2] for split in result["metrics"]}
        for task in sorted(names):
            own = {split: of for split, of in result["metrics"].items() if split.partition("/")[2] == task}
            console.print(result_table({"metrics": own}))


def _measure(prepared: Prepared, folder: RunFolder, fitted: Fitted, test: bool) -> dict[str, Any]:
    """Metrics by split, those of further tasks as "<split>/<task>"; keeps what was said of each text, and figures."""
    found: dict[str, Any] = {}
    for name, part in prepared.parts.items():
        task, cut_off = part.task, getattr(part.task, "threshold", 0.5)
        for split in ("dev", "test") if test else ("dev",):
            key = split if name == "main" else f"{split}/{name}"
            file = key.replace("/", "_")
            loader = prepared.batches.eval_loader(split, name)
            scores, labels, lengths = predictions(prepared.module.model, task, loader, fitted.device, fitted.precision)
            metrics = found[key] = task.evaluate(scores, labels, lengths)
            of_split = part.data.splits()[split]
            said = told(task.kind, task.classes, of_split, part.encoded[split], scores, cut_off)
            save_predictions(folder.predictions / f"{file}.parquet", said)
            if "confusion" in metrics:
                plot_confusion(metrics["confusion"], task.classes, folder.figures / f"confusion_{file}.png")
    return found


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
