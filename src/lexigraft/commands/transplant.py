"""`lexigraft transplant`: a checkpoint, or a matrix alone, on another vocabulary, without training."""

import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from lexigraft import build
from lexigraft.commands.choosing import transplant_of
from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.embeddings.write import save_matrix
from lexigraft.evaluation.tables import data_text, source_text, warning_text
from lexigraft.evaluation.transplant_report import TransplantReport
from lexigraft.hub import resolve
from lexigraft.runs.folder import require_writable, write_json, write_text
from lexigraft.runs.manifest import command_line, manifest
from lexigraft.surgery.card import model_card
from lexigraft.surgery.checkpoint import Body, fitted, open_body, write_checkpoint
from lexigraft.surgery.folder import new_folder
from lexigraft.vocab.tokenizer import Tokenizer


def run(cfg: DictConfig) -> None:
    """Write the new checkpoint or matrix, its tokenizer and its provenance to the folder `output`."""
    console = Console(soft_wrap=True, highlight=False)
    output = Path(cfg.output)
    if output.exists():
        raise ValueError(f"output={output} exists already, and nothing is overwritten: give a new folder")
    require_writable(output, "output")
    data = build.text_data(cfg.data) if "_target_" in cfg.data else None
    if data is not None:
        console.print(data_text(data), markup=False)
    source = build.source_matrix(cfg.source)
    console.print(source_text(source.origin), markup=False)
    texts = data.train.texts if data else []
    target = build.target_tokenizer(cfg.tokenizer, source, texts, data.language if data else None)
    body: Body | None = None
    warnings: list[str] = []
    if cfg.write == "checkpoint" or (cfg.write == "auto" and source.checkpoint is not None):
        _refuse_what_does_not_fit(cfg.transplant, source)
        body = open_body(source)
        target, warnings = fitted(body, target)
    method, tried = transplant_of(cfg, source, target, data, console)
    transplanted = method(source, target, cfg.seed, texts)
    if transplanted.project_to is not None and (body is None or transplanted.projection is None):
        raise ValueError(
            f"transplant.resize={cfg.transplant.resize} leaves a projection to training, so there is nothing to write "
            "yet: use transplant.resize=pca, or `lexigraft train`"
        )
    counts = target.counts(target.encode(texts)) if data else None
    report = TransplantReport.of(source, transplanted, counts, getattr(method, "spaces", None))
    report.print(console)

    with new_folder(output) as folder:
        if body is None:
            save_matrix(transplanted.matrix, folder)
        else:
            written = write_checkpoint(
                body,
                source,
                transplanted,
                folder,
                again=lambda matrix: method(matrix, target, cfg.seed, texts).matrix,
                shard_gb=cfg.shard_gb,
                pad_to_multiple_of=cfg.pad_to_multiple_of,
                tokenizer_folder=_folder_of(cfg.tokenizer, source, target, body),
            )
            warnings += written.warnings
            report.summary["checkpoint"] = {
                "rows": written.rows,
                "bytes": written.bytes,
                "changed_tensors": list(written.tensors),
                "warnings": warnings,
            }
            write_text(folder / "README.md", _card(cfg, output, report, warnings))
        write_text(folder / "config.yaml", OmegaConf.to_yaml(cfg))
        report.save(folder)
        if tried is not None:
            write_json(folder / "auto.json", tried)
        write_json(
            folder / "provenance.json",
            manifest(
                seed=cfg.seed,
                data={} if data is None else {"name": data.name, "sha256": {"train": data.train.fingerprint()}},
                source=source.origin,
                target={"tokens": len(target.vocabulary), "sha256": target.vocabulary.fingerprint()},
            ),
        )
    for warning in warnings:
        console.print(warning_text(warning))
    console.print(f"written to  {output}", markup=False)


def _refuse_what_does_not_fit(cfg: DictConfig, source: EmbeddingMatrix) -> None:
    """Before anything is made: rows of another space or width than the model's layers read."""
    if cfg.get("resize") == "procrustes":
        raise ValueError(
            "transplant.resize=procrustes moves the rows into the space of another matrix, in which the model's layers "
            "cannot read them: leave it out, or take write=matrix"
        )
    if cfg.get("dim") not in (None, source.dim) and cfg.get("resize") == "pca":
        raise ValueError(
            f"the rows are to be {cfg.dim} wide, but the layers of {source.origin['name']} demand {source.dim}: "
            "leave out transplant.dim, or take transplant.resize=factorised or write=matrix"
        )


def _folder_of(cfg: DictConfig, source: EmbeddingMatrix, target: Tokenizer, body: Body) -> Path | None:
    """Where the target tokenizer came from; the source's folder if it has all special tokens of the source's."""
    if "name" in cfg:
        folder = resolve(cfg.name, files=["tokenizer_config.json", "chat_template.jinja", "tokenizer*"])
        return folder if folder.is_dir() else None
    own = source.tokenizer
    same = own is not None and set(own.role_contents().values()) <= set(target.role_contents().values())
    return body.folder if same else None


def _card(cfg: DictConfig, output: Path, report: TransplantReport, warnings: Sequence[str]) -> str:
    steps = [step._target_ for step in cfg.transplant.get("fill") or ()] or [cfg.transplant._target_]
    return model_card(
        output.name,
        report.summary,
        [*warnings, *report.diagnosis.warnings],
        base=report.source.origin["name"],
        target=cfg.tokenizer.get("name") or cfg.tokenizer._target_.rpartition(".")[2],
        method=", then ".join(step.rpartition(".")[2] for step in steps),
        command=command_line(sys.argv),
    )
