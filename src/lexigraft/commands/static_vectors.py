"""`lexigraft pretrain objective=skipgram`, cbow or fasttext: static vectors, which need no network to be trained."""

import shutil
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import BarColumn, Progress, TimeRemainingColumn

from lexigraft import build
from lexigraft.commands.preparing_corpus import read_corpus
from lexigraft.commands.running import Clock
from lexigraft.embeddings.trained import StaticVectors, save_vectors
from lexigraft.evaluation.tables import measures_table
from lexigraft.runs.folder import RunFolder, require_writable, write_json
from lexigraft.runs.manifest import manifest
from lexigraft.runs.state import claimed
from lexigraft.surgery.folder import new_folder


def asked_for(cfg: DictConfig) -> bool:
    """Whether the objective is one of static vectors."""
    return bool(cfg.objective._target_ == f"{StaticVectors.__module__}.{StaticVectors.__qualname__}")


def run(cfg: DictConfig) -> float | None:
    """Train once and leave a run folder with the vectors; the loss on dev after the last epoch, if there is one."""
    require_writable(Path(cfg.output_root), "output_root")
    folder = RunFolder.of(OmegaConf.to_container(cfg))  # type: ignore[arg-type]  # its keys are names
    console = Console(soft_wrap=True, highlight=False)
    with claimed(folder.path):
        if cfg.rerun:
            folder.clear()
        result = folder.finished_result()
        if result is None:
            result = _trained(cfg, folder, console)
        else:
            console.print("This run is finished already; rerun=true does it again.", markup=False)
    console.print(measures_table(result["metrics"]))
    console.print(f"vectors     source=matrix source.path={folder.pretrained}", markup=False)
    console.print(f"run folder  {folder.path}", markup=False)
    value: float | None = result["best"]["value"]
    return value


def _trained(cfg: DictConfig, folder: RunFolder, console: Console) -> dict[str, Any]:
    vectors, clock = build.objective(cfg.objective), Clock()
    corpus = read_corpus(cfg, console)
    clock.lap("data")
    source = build.source_matrix(cfg.source) if "_target_" in cfg.source else None
    tokenizer = build.target_tokenizer(cfg.tokenizer, source, corpus.train, corpus.language)
    clock.lap("tokenizer")
    folder.begin(OmegaConf.to_yaml(cfg))
    bar = Progress("vectors    ", BarColumn(), TimeRemainingColumn(), disable=not cfg.trainer.progress, transient=True)
    with bar:
        task = bar.add_task("", total=1.0)
        trained = vectors(
            tokenizer,
            corpus.train,
            corpus.dev,
            cfg.seed,
            told=lambda row: console.print(_line(row), markup=False),
            progress=lambda share: bar.update(task, completed=share),
        )
    clock.lap("train")
    shutil.rmtree(folder.pretrained, ignore_errors=True)  # of an attempt that ended before its result was written
    with new_folder(folder.pretrained) as into:
        save_vectors(trained, into)
    write_json(
        folder.provenance,
        manifest(
            seed=cfg.seed,
            data={
                "name": corpus.name,
                "sha256": corpus.fingerprints(),
                "report": corpus.report,
            },
            source=trained.matrix.origin,
            target={"tokens": len(trained.matrix.rows), "sha256": trained.matrix.vocabulary.fingerprint()},
        ),
    )
    last = trained.report["curve"][-1]
    result = {
        "status": "finished",
        "monitor": "loss",
        "best": {"epoch": last["epoch"], "step": None, "value": last["dev_loss"]},
        "metrics": {"dev": {"loss": last["dev_loss"]}},
        "history": trained.report["curve"],
        "counts": {"texts": {"train": len(corpus.train), "dev": len(corpus.dev)}, "rows": len(trained.matrix.rows)},
        "precision": "32",
        "device": "cpu",
        "processes": 1,
        "seconds": clock.seconds,
    }
    write_json(folder.result, result)
    return result


def _line(row: dict[str, Any]) -> str:
    losses = "  ".join(
        f"{key.replace('_', ' ')} {row[key]:.4f}" for key in row if key != "epoch" and row[key] is not None
    )
    return f"epoch {row['epoch']:>2}  {losses}"
