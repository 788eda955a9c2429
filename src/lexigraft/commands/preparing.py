"""Config to everything that stands before the first training step; shared by the commands that train."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from rich.console import Console
from torch import Tensor

from lexigraft import build
from lexigraft.commands.choosing import transplant_of
from lexigraft.commands.running import Clock, require_metric
from lexigraft.data.augment.augmentation import augmented
from lexigraft.data.augment.further import with_further_texts
from lexigraft.data.balance import shown_text
from lexigraft.data.batches import EncodedText
from lexigraft.data.datamodule import TextDataModule
from lexigraft.data.encoded import Encoded
from lexigraft.data.encoding import lost_units, vocabulary_texts
from lexigraft.data.encoding_cache import encoded_splits
from lexigraft.data.leakage import with_leakage
from lexigraft.data.tag_scheme import OUTSIDE
from lexigraft.data.text_data import TextData
from lexigraft.evaluation.tables import data_text, lost_text, source_text, warning_text
from lexigraft.evaluation.transplant_report import TransplantReport
from lexigraft.models.active import activate
from lexigraft.models.classifier import Head
from lexigraft.tasks.task import Task
from lexigraft.tasks.texts import texts_of
from lexigraft.training.finetune.transfer import new_rows
from lexigraft.training.hardware import apply, slow_precision
from lexigraft.training.micro_batches import require_splittable
from lexigraft.training.module import SupervisedModule
from lexigraft.vocab.tokenizer import Tokenizer

Shown = dict[str, Callable[[int], np.ndarray]]  # by task: the places of the texts that an epoch has


@dataclass(frozen=True)
class Part:
    """One of the tasks of a run: its texts, and what is to be said of them."""

    data: TextData
    task: Task
    encoded: dict[str, Encoded]
    texts: dict[str, EncodedText]


@dataclass(frozen=True)
class Prepared:
    """A run before its first step.

    `parts` are its tasks by name, "main" first. `spec` is what builds the network again, `tried` what `transplant=auto`
    compared, `monitor` the dev metric that chooses the best epoch, `active_rows` how many word rows are parameters.
    """

    parts: dict[str, Part]
    report: TransplantReport
    tried: dict[str, Any] | None
    spec: dict[str, Any]
    batches: TextDataModule
    module: SupervisedModule
    monitor: str
    active_rows: int


def prepare(cfg: DictConfig, console: Console, clock: Clock) -> Prepared:
    """Read, transplant, encode and build what the config names; says on the console what was found."""
    hardware = cfg.hardware
    apply(
        threads=hardware.threads,
        precision=hardware.precision,
        accelerator=hardware.accelerator,
        deterministic=hardware.deterministic,
    )
    recipe, teaching = _recipe(cfg), build.teaching(cfg.teacher)
    if slow := slow_precision(hardware.precision, hardware.accelerator):
        console.print(warning_text(slow))
    if known := build.monitors(cfg.task):
        _refuse_unknown(cfg, recipe["schedule"], known)
    wanted = {"main": (cfg.data, cfg.task)}
    wanted |= {name: (further.data, further.task or cfg.task) for name, further in cfg.auxiliary.items()}
    loaded = {name: _data(*each, cfg, console) for name, each in wanted.items()}
    data, task = loaded["main"]
    _refuse_unknown(cfg, recipe["schedule"], task.monitors)
    monitor = _monitor(cfg.trainer.monitor, task, data)
    clock.lap("data")

    source = build.source_matrix(cfg.source)
    clock.lap("source")
    console.print(source_text(source.origin), markup=False)

    texts = [text for data, _ in loaded.values() for text in vocabulary_texts(data.train, data.kind)]
    tokenizer = build.target_tokenizer(cfg.tokenizer, source, texts, data.language)
    parts = {name: _part(name, *each, tokenizer, cfg, console) for name, each in loaded.items()}
    main = parts["main"]
    clock.lap("tokenizer")
    method, tried = transplant_of(cfg, source, tokenizer, data, console, encoded=main.texts, task=task)
    transplanted = method(source, tokenizer, cfg.seed, texts)
    counts = np.sum([part.encoded["train"].counts(len(tokenizer.vocabulary)) for part in parts.values()], axis=0)
    report = TransplantReport.of(source, transplanted, counts, getattr(method, "spaces", None))
    clock.lap("transplant")
    report.print(console)
    rows = transplanted.matrix.rows
    introduced = [_augment(cfg, part, tokenizer, rows, console) for part in parts.values()]

    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    heads = {name: Head(part.task.outputs(), part.task.per_token) for name, part in parts.items()}
    model, spec = build.new_classifier(cfg.model, transplanted, heads)
    made = new_rows(transplanted.provenance)
    recipe["finetune"].prepare(model, made)
    if (first := getattr(recipe["finetune"], "epochs", 0)) >= cfg.trainer.epochs:
        told = f"finetune.epochs={first} of trainer.epochs={cfg.trainer.epochs}: what it holds at first never moves"
        console.print(warning_text(told))
    if teaching is not None:
        console.print("teacher     reads the training texts", markup=False)
        recipe["regularisers"].append(teaching.distiller(data.train, task))
    module = SupervisedModule(model, {name: part.task for name, part in parts.items()}, **recipe)
    if cfg.trainer.micro_batch is not None:
        require_splittable(module.modules())
    if cfg.trainer.active_vocabulary:
        used = [of.ids for part in parts.values() for of in part.encoded.values()]
        console.print(_activate(module, np.concatenate(used + introduced), cfg.trainer.epochs), markup=False)
    for regulariser in recipe["regularisers"]:
        regulariser.start(model, made)
    shown = _shown(cfg, parts, console)
    batches = TextDataModule(
        {name: part.texts for name, part in parts.items()},
        batch_size=cfg.trainer.batch_size,
        batch_tokens=cfg.trainer.batch_tokens,
        sorted_batches=cfg.trainer.sorted_batches,
        eval_batch_size=cfg.trainer.eval_batch_size,
        seed=cfg.seed,
        workers=cfg.trainer.workers,
        temperature=cfg.trainer.sampling_temperature,
        shown=shown,
    )
    clock.lap("model")
    active_rows = len(model.embedding.lookup.weight)
    return Prepared(parts, report, tried, spec, batches, module, monitor, active_rows)


def _data(data_cfg: DictConfig, task_cfg: DictConfig, cfg: DictConfig, console: Console) -> tuple[TextData, Task]:
    """A data set, cleaned and cut to what the run may see, and what is to be said of its texts."""
    data = build.cleaning(cfg.cleaning)(build.text_data(data_cfg, build.kind_of_labels(task_cfg)))
    data = with_leakage(build.subset(cfg.subset)(data, cfg.seed), cfg.leakage_similarity)
    data = with_further_texts(data, build.several(cfg.augment_texts), cfg.seed)
    console.print(data_text(data), markup=False)
    return data, build.task(task_cfg, data)


def _part(name: str, data: TextData, task: Task, tokenizer: Tokenizer, cfg: DictConfig, console: Console) -> Part:
    encoded = encoded_splits(tokenizer, data.splits(), data.kind, cfg.trainer.max_tokens)
    for split in data.splits():
        if lost := lost_units(encoded[split], data.splits()[split]):
            console.print(warning_text(lost_text(split, lost)))
    texts = {split: texts_of(task, of, encoded[split], tokenizer.pad_id, name) for split, of in data.splits().items()}
    return Part(data, task, encoded, texts)


def _augment(cfg: DictConfig, part: Part, tokenizer: Tokenizer, rows: Tensor, console: Console) -> np.ndarray:
    """Let training texts be changed as `conf/augment/` says; the token ids that this may bring in."""
    change = augmented(
        build.several(cfg.augment),
        kind=part.data.kind,
        vocabulary=tokenizer.vocabulary,
        rows=rows,
        used=np.unique(part.encoded["train"].ids),
        seed=cfg.seed,
    )
    if change is None:
        return np.empty(0, np.int64)
    part.texts["train"].change = change
    for name, told in change.report().items():
        if told:
            console.print(f"{name:<12}{told}", markup=False)
    return change.introduces()


def _shown(cfg: DictConfig, parts: dict[str, Part], console: Console) -> Shown | None:
    """The texts of an epoch by task, as `conf/balance/` says; None: each once."""
    balance = build.balance(cfg.balance)
    if balance.method == "none":
        return None
    if "balanced" in cfg.task.loss.values():
        told = f"balance={balance.method} and a balanced loss both make up for rare classes, so they count twice"
        console.print(warning_text(told))
    shown: Shown = {}
    for name, part in parts.items():
        labels = part.data.train.labels
        shown[name] = partial(balance, labels, part.data.kind, cfg.seed)
        console.print(shown_text(labels, shown[name](0), part.data.classes), markup=False)
    return shown


def _activate(module: SupervisedModule, used: np.ndarray, epochs: int) -> str:
    """Train the rows of used ids alone where that is exact, and say so, or why not."""
    embedding = module.model.embedding
    rows = embedding.lookup.weight
    reason = module.all_rows_move(epochs)
    if reason is not None:
        return f"vocabulary  all {len(rows):,} rows are trained: {reason}"
    activate(embedding, torch.from_numpy(np.unique(used)))
    return f"vocabulary  {len(embedding.lookup.weight):,} of {len(rows):,} rows are used and trained; the others rest"


def _recipe(cfg: DictConfig) -> dict[str, Any]:
    """How weights move; made first, so that a wrong setting costs no minute."""
    regularisers, micro_batch = list(build.several(cfg.regularise).values()), cfg.trainer.micro_batch
    if micro_batch is not None:
        require_splittable(regularisers)
    return {**build.recipe(cfg), "regularisers": regularisers}


def _refuse_unknown(cfg: DictConfig, schedule: Any, known: Sequence[str]) -> None:
    """`ValueError` for a metric that picks the best epoch, or that the schedule watches, and the task does not have."""
    watched = {"trainer.monitor": cfg.trainer.monitor, "scheduler.monitor": getattr(schedule, "monitor", None)}
    for key, name in watched.items():
        require_metric(key, name, known, of="task")


def _monitor(chosen: str | None, task: Task, data: TextData) -> str:
    """The dev metric that chooses the best epoch; `ValueError` if the dev split cannot give it."""
    monitor = chosen or task.monitors[0]
    there: set[Any] = {i for label in data.dev.labels for i in (label if isinstance(label, tuple) else (label,))}
    lacking = [name for i, name in enumerate(data.classes) if i not in there]
    if monitor in ("roc_auc", "average_precision") and lacking:
        others = [name for name in task.monitors if name not in ("roc_auc", "average_precision")]
        raise ValueError(
            f"trainer.monitor={monitor} has no value on the dev split, which lacks the class {lacking[0]!r}: "
            f"choose {', '.join(others[:-1])} or {others[-1]}"
        )
    tags = {data.classes[i] for i in there} if data.kind == "tags" else set()
    if monitor == "f1" and tags == {OUTSIDE}:
        raise ValueError(
            "trainer.monitor=f1 has no value on the dev split, which has no entity: choose accuracy or loss, or a "
            "larger dev split"
        )
    return monitor
