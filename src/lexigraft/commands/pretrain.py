"""`lexigraft pretrain`: a language model from text, or static vectors, as a source for further runs."""

from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig
from rich.console import Console

from lexigraft.commands import running, static_vectors
from lexigraft.commands.preparing_corpus import PreparedText, prepare
from lexigraft.commands.running import Clock
from lexigraft.data.pretraining.datamodule import PretrainingData
from lexigraft.evaluation.tables import measures_table, warning_text
from lexigraft.process_group import rank, world_size
from lexigraft.runs.fingerprint import fingerprint
from lexigraft.runs.folder import RunFolder, write_json
from lexigraft.runs.manifest import manifest
from lexigraft.surgery.folder import renewed_folder
from lexigraft.training.fit import Fitted
from lexigraft.training.pretraining.export import write_pretrained


def run(cfg: DictConfig) -> float | None:
    """Pretrain once and leave a run folder with the checkpoint; the best dev value of the monitored metric."""
    if static_vectors.asked_for(cfg):
        return static_vectors.run(cfg)
    return running.run(cfg, Pretraining())


def pretrain_as_rank(cfg: DictConfig) -> float | None:
    """Train as a process of a run that another one has started."""
    return running.run_as_rank(cfg, Pretraining())


class Pretraining(running.Training):
    """A language model over new or transplanted rows."""

    work = "lexigraft.commands.pretrain:pretrain_as_rank"

    def prepare(self, cfg: DictConfig, console: Console, clock: Clock) -> PreparedText:
        return prepare(cfg, console, clock)

    def begin(self, cfg: DictConfig, prepared: PreparedText, folder: RunFolder) -> dict[str, Any]:
        write_json(folder.model, prepared.spec)
        prepared.tokenizer.save(folder.tokenizer)
        if prepared.report is not None:
            prepared.report.save(folder.transplant)
        corpus, rows = prepared.corpus, prepared.transplanted.matrix
        return manifest(
            seed=cfg.seed,
            data=corpus.record(),
            source=rows.origin if prepared.report is None else prepared.report.source.origin,
            target={
                "tokens": len(rows.vocabulary),
                "sha256": rows.vocabulary.fingerprint(),
                "rows": fingerprint({"rows": rows.rows}),
            },
        )

    def batches(self, cfg: DictConfig, prepared: PreparedText) -> pl.LightningDataModule:
        trainer = cfg.trainer
        return PretrainingData(
            prepared.splits,
            batch_size=trainer.batch_size,
            batch_tokens=trainer.batch_tokens,
            sorted_batches=trainer.sorted_batches,
            eval_batch_size=trainer.eval_batch_size,
            seed=cfg.seed,
            workers=trainer.workers,
            rank=rank(),
            ranks=world_size(),
        )

    def result(
        self, cfg: DictConfig, prepared: PreparedText, folder: RunFolder, fitted: Fitted, console: Console
    ) -> dict[str, Any]:
        prepared.module.finish()
        if not fitted.pruned:
            with renewed_folder(folder.pretrained) as into:
                notes = write_pretrained(prepared.model, prepared.tokenizer, into, **cfg.export)
            for note in notes:
                console.print(warning_text(note))
        [best] = [row for row in fitted.history if row["epoch"] == fitted.best["epoch"]]
        measured = {key.removeprefix("dev_"): value for key, value in best.items() if key.startswith("dev_")}
        parameters = list(prepared.model.parameters())
        return {
            "metrics": {} if fitted.pruned else {"dev": measured},
            "counts": {
                "texts": {name: of["documents"] for name, of in prepared.splits.report.items()},
                "corpus": prepared.splits.report,
                "parameters": sum(p.numel() for p in parameters),
                "trainable_parameters": sum(p.numel() for p in parameters if p.requires_grad),
            },
        }

    def tell(self, result: dict[str, Any], folder: RunFolder, console: Console) -> None:
        console.print(measures_table(result["metrics"]))
        if folder.pretrained.is_dir():
            console.print(f"checkpoint  source=hf source.name={folder.pretrained}", markup=False)
