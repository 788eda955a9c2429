"""Config to everything that stands before the first step of a pretraining."""

from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig
from rich.console import Console

from lexigraft import build
from lexigraft.commands.running import Clock, require_metric
from lexigraft.data.pretraining.corpus import Corpus, cleaned, held_out, joined
from lexigraft.data.pretraining.datamodule import PretrainingSplits, pretraining_splits
from lexigraft.evaluation.tables import corpus_text, source_text, warning_text
from lexigraft.evaluation.transplant_report import TransplantReport
from lexigraft.models.language import LanguageModel
from lexigraft.models.language_backbone import NewBackbone
from lexigraft.models.language_building import new_language_model
from lexigraft.training.finetune.transfer import new_rows
from lexigraft.training.hardware import apply, slow_precision
from lexigraft.training.pretraining.module import PretrainingModule
from lexigraft.transplant.drawn import drawn
from lexigraft.transplant.engine import Transplanted
from lexigraft.vocab.tokenizer import Tokenizer


@dataclass(frozen=True)
class PreparedText:
    """A pretraining before its first step.

    `report` tells of the transplant, None where rows were drawn. `spec` is what builds the network again, `monitor`
    the dev metric that chooses the best epoch.
    """

    corpus: Corpus
    tokenizer: Tokenizer
    transplanted: Transplanted
    report: TransplantReport | None
    splits: PretrainingSplits
    model: LanguageModel
    spec: dict[str, Any]
    module: PretrainingModule
    monitor: str


def prepare(cfg: DictConfig, console: Console, clock: Clock) -> PreparedText:
    """Read, cut, transplant or draw, and build what the config names; says on the console what was found."""
    hardware, trainer = cfg.hardware, cfg.trainer
    apply(
        threads=hardware.threads,
        precision=hardware.precision,
        accelerator=hardware.accelerator,
        deterministic=hardware.deterministic,
    )
    recipe, objective = build.recipe(cfg), build.objective(cfg.objective)
    if cfg.export.part == "generator" and not hasattr(objective, "generator"):
        raise ValueError(
            "export.part=generator is what objective=replaced trains beside its model: leave it out, or choose that"
        )
    backbone = build.backbone(cfg.backbone)
    monitor = _monitor(trainer.monitor, objective.monitors)
    if slow := slow_precision(hardware.precision, hardware.accelerator):
        console.print(warning_text(slow))

    corpus = read_corpus(cfg, console)
    clock.lap("data")
    source = build.source_matrix(cfg.source) if "_target_" in cfg.source else None
    if source is not None:
        console.print(source_text(source.origin), markup=False)
    clock.lap("source")
    tokenizer = build.target_tokenizer(cfg.tokenizer, source, corpus.train, corpus.language)
    splits = pretraining_splits(
        corpus, tokenizer, objective, max_tokens=trainer.max_tokens, pack=trainer.pack, seed=cfg.seed
    )
    console.print(corpus_text(splits.report), markup=False)
    clock.lap("tokenizer")

    report = None
    if source is None:
        if not isinstance(backbone, NewBackbone):
            raise ValueError(
                "backbone=source takes the layers of a checkpoint, and source=none has none: use source=hf "
                "source.name=..., or a new backbone such as backbone=bert"
            )
        transplanted = drawn(tokenizer, backbone.width, cfg.source.std, cfg.seed)
    else:
        method = build.transplant(cfg.transplant)
        transplanted = method(source, tokenizer, cfg.seed, corpus.train)
        counts = splits.train.pieces.counts(len(tokenizer.vocabulary))
        report = TransplantReport.of(source, transplanted, counts, getattr(method, "spaces", None))
        report.print(console)
    clock.lap("transplant")

    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    model, spec = new_language_model(
        transplanted, backbone, objective.kind, generator=getattr(objective, "generator", 0.25), packed=trainer.pack
    )
    recipe["finetune"].prepare(model, new_rows(transplanted.provenance))
    module = PretrainingModule(model, objective, tokens_per_byte=splits.tokens_per_byte, **recipe)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    console.print(f"model       {spec['config']['model_type']}, {parameters:,} parameters", markup=False)
    clock.lap("model")
    return PreparedText(corpus, tokenizer, transplanted, report, splits, model, spec, module, monitor)


def read_corpus(cfg: DictConfig, console: Console) -> Corpus:
    """The documents that the config names, without any that holds a text of `keep_out`."""
    cleaning = build.cleaning(cfg.cleaning)
    corpora = {name: cleaned(corpus, cleaning) for name, corpus in build.several(cfg.corpus).items()}
    sets = [build.text_data(each) for each in cfg.keep_out.values()]
    corpus = joined(corpora, dev_share=cfg.dev_share, kept_out=held_out(sets), near=cfg.keep_out_similarity)
    counts, held = corpus.report, corpus.report["kept_out"]
    console.print(
        f"corpus      {corpus.name}: {counts['documents']:,} documents, of which {counts['empty_or_repeated']:,} empty "
        "or repeated",
        markup=False,
    )
    if held["texts"]:
        out = ", ".join(f"{reason} {held[reason]:,}" for reason in ("equal", "shared", "near"))
        console.print(f"kept out    of {held['texts']:,} texts of {', '.join(cfg.keep_out)}: {out}", markup=False)
    return corpus


def _monitor(chosen: str | None, known: tuple[str, ...]) -> str:
    require_metric("trainer.monitor", chosen, known, of="objective")
    return chosen or known[0]
