"""`lexigraft pretrain objective=skipgram`, cbow or fasttext: static vectors, which need no network to be trained."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import BarColumn, Progress, TimeRemainingColumn

from lexigraft import build
from lexigraft.commands import running
from lexigraft.commands.preparing_corpus import read_corpus
from lexigraft.commands.running import Clock
from lexigraft.embeddings.trained import StaticVectors, save_vectors
from lexigraft.evaluation.tables import measures_table
from lexigraft.runs.folder import RunFolder, require_writable, write_json
from lexigraft.runs.manifest import manifest
from lexigraft.surgery.folder import renewed_folder


def asked_for(cfg: DictConfig) -> bool:
    """Whether the objective is one of static vectors."""
    return bool(cfg.objective._target_ == f"{StaticVectors.__module__}.{StaticVectors.__qualname__}")


def run(cfg: DictConfig) -> float | None:
    """Train once and leave a run folder with the vectors; the loss on dev after the last epoch, if there is one."""
    require_writable(Path(cfg.output_root), "output_root")
    folder = RunFolder.of(OmegaConf.to_container(cfg))  # type: ignore[arg-type]  # its keys are names
    return running.in_folder(cfg, folder, lambda console: _train(cfg, folder, console), _tell)


def _tell(result: dict[str, Any], folder: RunFolder, console: Console) -> None:
    console.print(measures_table(result["metrics"]))
    console.print(f"vectors     source=matrix source.path={folder.pretrained}", markup=False)


def _train(cfg: DictConfig, folder: RunFolder, console: Console) -> None:
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
    with renewed_folder(folder.pretrained) as into:
        save_vectors(trained, into)
    write_json(
        folder.provenance,
        manifest(
            seed=cfg.seed,
            data=corpus.record(),
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


def _line(row: dict[str, Any]) -> str:
    losses = "  ".join(
        f"{key.replace('_', ' ')} {row[key]:.4f}" for key in row if key != "epoch" and row[key] is not None
    )
    return f"epoch {row['epoch']:>2}  {losses}"
