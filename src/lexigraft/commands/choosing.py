"""The transplant of a config; where it is `transplant=auto`, with the probe that this command's inputs allow."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from lexigraft import build
from lexigraft.data.batches import EncodedText
from lexigraft.data.encoding import vocabulary_texts
from lexigraft.data.text_data import TextData
from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.evaluation.candidates import candidates_table
from lexigraft.models.classifier import Head
from lexigraft.tasks.task import Task
from lexigraft.transplant.auto import Auto, Probe
from lexigraft.transplant.engine import Transplanted
from lexigraft.vocab.tokenizer import Tokenizer


def transplant_of(
    cfg: DictConfig,
    source: EmbeddingMatrix,
    target: Tokenizer,
    data: TextData | None,
    console: Console,
    *,
    encoded: Mapping[str, EncodedText] | None = None,
    task: Task | None = None,
) -> tuple[Callable[..., Transplanted], dict[str, Any] | None]:
    """`(source, target, seed, texts) -> Transplanted`, and what `transplant=auto` tried, which is printed; else None.

    With encoded splits and a task, methods are compared by the run's own training. `ValueError` where there is nothing
    to compare methods by.
    """
    method = build.transplant(cfg.transplant)
    if not isinstance(method, Auto):
        return method, None
    if encoded is not None and task is not None:
        probe, measure = _by_training(cfg, encoded, task, method.steps), "dev loss"
    else:
        probe, measure = _without_training(source, data, method.steps)
    texts = vocabulary_texts(data.train, data.kind) if data else []
    tell = partial(console.print, markup=False)
    choice = method(source, target, texts, probe=probe, measure=measure, told=tell)
    console.print(candidates_table(choice.report))
    return choice.method, choice.report


def _by_training(cfg: DictConfig, encoded: Mapping[str, EncodedText], task: Task, steps: int) -> Probe:
    """The dev loss of the run's own model after its first steps; the test split is not touched."""
    from lexigraft.training.finetune.transfer import new_rows
    from lexigraft.training.probe import classifier_loss, device_of  # with Lightning, half of a command's start-up

    run = partial(
        classifier_loss,
        train=encoded["train"],
        dev=encoded["dev"],
        task=task,
        steps=steps,
        batch_size=cfg.trainer.batch_size,
        eval_batch_size=cfg.trainer.eval_batch_size,
        optimizer=build.optimizer(cfg.optimizer),
        finetune=build.finetuning(cfg.finetune),
        weight_decay=cfg.optimizer.get("weight_decay", 0.0),
        gradient_clip=cfg.trainer.gradient_clip,
        device=device_of(cfg.hardware.accelerator),
    )
    heads = {"main": Head(task.outputs(), task.per_token)}

    def probe(made: Transplanted, seed: int) -> float:
        return run(
            lambda: build.new_classifier(cfg.model, made, heads)[0], seed=seed, new_rows=new_rows(made.provenance)
        )

    return probe


def _without_training(source: EmbeddingMatrix, data: TextData | None, steps: int) -> tuple[Probe, str]:
    """Bits per byte of the source's own language model, else a linear probe on labelled texts."""
    from lexigraft.training.probe import language_head, language_model_loss, linear_loss

    if data is not None and not (data.train.texts and data.dev.texts):
        raise ValueError(f"transplant=auto learns from train and measures on dev, and {data.name} lacks texts of one")
    if data is not None and language_head(source) is not None:
        mask = source.vocabulary.roles.get("mask")
        mask_row = None if mask is None else source.rows[mask]
        language = partial(
            language_model_loss, train=data.train.texts, dev=data.dev.texts, mask_row=mask_row, steps=steps
        )
        return lambda made, seed: language(made.matrix, seed=seed), "bits per byte"
    if data is not None and len(data.classes) > 1:
        linear = partial(linear_loss, train=data.train, dev=data.dev, classes=len(data.classes), steps=steps)
        return lambda made, seed: linear(made.matrix, seed=seed), "linear probe"
    raise ValueError(
        "transplant=auto compares methods by a short probe, and has nothing to probe with: give texts (data=text "
        "data.path=...) and a source checkpoint with a language-model head, or a labelled data set"
    )
