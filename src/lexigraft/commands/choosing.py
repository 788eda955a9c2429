"""The transplant of a config; where it is `transplant=auto`, with the probe that this command's inputs allow."""

from collections.abc import Callable
from functools import partial
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from lexigraft import build
from lexigraft.data.batches import EncodedText
from lexigraft.data.text_data import TextData
from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.evaluation.candidates import candidates_table
from lexigraft.transplant.auto import Auto, Probe
from lexigraft.transplant.engine import Transplanted
from lexigraft.vocab.tokenizer import Tokenizer


def transplant_of(
    cfg: DictConfig, source: EmbeddingMatrix, target: Tokenizer, data: TextData | None, console: Console
) -> tuple[Callable[..., Transplanted], dict[str, Any] | None]:
    """`(source, target, seed, texts) -> Transplanted`, and what `transplant=auto` tried, which is printed; else None.

    `ValueError` where there is nothing to compare methods by.
    """
    method = build.transplant(cfg.transplant)
    if not isinstance(method, Auto):
        return method, None
    if "model" in cfg:
        assert data is not None
        probe, measure = _by_training(cfg, target, data, method.steps), "dev loss"
    else:
        probe, measure = _without_training(source, data, method.steps)
    texts = data.train.texts if data else []
    tell = partial(console.print, markup=False)
    choice = method(source, target, texts, probe=probe, measure=measure, told=tell)
    console.print(candidates_table(choice.report))
    return choice.method, choice.report


def _by_training(cfg: DictConfig, target: Tokenizer, data: TextData, steps: int) -> Probe:
    """The dev loss of the run's own model after its first steps; the test split is not touched."""
    from lexigraft.training.probe import classifier_loss, device_of  # with Lightning, half of a command's start-up

    encoded = {
        name: EncodedText(target.encode(split.texts, cfg.trainer.max_tokens), split.labels)
        for name, split in (("train", data.train), ("dev", data.dev))
    }
    run = partial(
        classifier_loss,
        train=encoded["train"],
        dev=encoded["dev"],
        pad_id=target.pad_id,
        steps=steps,
        batch_size=cfg.trainer.batch_size,
        eval_batch_size=cfg.trainer.eval_batch_size,
        optimizer=build.optimizer(cfg.optimizer),
        finetune=build.finetuning(cfg.finetune),
        weight_decay=cfg.optimizer.get("weight_decay", 0.0),
        gradient_clip=cfg.trainer.gradient_clip,
        device=device_of(cfg.hardware.accelerator),
    )
    return lambda made, seed: run(lambda: build.new_classifier(cfg.model, made, data.classes)[0], seed=seed)


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
