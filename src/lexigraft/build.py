"""Config to objects. The only file that calls `hydra.utils.instantiate`."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from lexigraft.config.signatures import locate
from lexigraft.data.balance import Balance
from lexigraft.data.cleaning import Cleaning
from lexigraft.data.save import load_labels
from lexigraft.data.subset import Subset
from lexigraft.data.text_data import TextData
from lexigraft.embeddings.checkpoint import whole_checkpoint
from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.pretrained import Pretrained, load_backbone
from lexigraft.runs.folder import RunFolder, read_json
from lexigraft.tasks.losses import require_fit
from lexigraft.tasks.task import Task
from lexigraft.training.distil.teaching import Teaching
from lexigraft.training.strategy import Strategy
from lexigraft.transplant.engine import Transplanted
from lexigraft.vocab.tokenizer import Tokenizer


def text_data(cfg: DictConfig, kind: str | None = None) -> TextData:
    """The data set of `conf/data/`, its labels read as those of a kind, None: as what it takes them for.

    `ValueError` if it has no such labels.
    """
    if kind is None:
        return instantiate(cfg)
    if "kind" in inspect.signature(locate(cfg._target_)).parameters:
        return instantiate(cfg, kind=kind)
    if kind != "class":
        raise ValueError(
            f"this data set has a class for each text, but the task needs labels of the kind {kind!r}: use data=files "
            "with a file of your own, or task=classification"
        )
    return instantiate(cfg)


def kind_of_labels(cfg: DictConfig) -> str:
    """What the labels of a data set are to the task of `conf/task/`; `ValueError` if its loss is not for such."""
    made = instantiate(cfg)
    require_fit(made.func, made.keywords["loss"])
    kind: str = made.func.kind
    return kind


def monitors(cfg: DictConfig) -> tuple[str, ...] | None:
    """The dev metrics of a task by which the best epoch may be chosen; None where that depends on the data."""
    return getattr(instantiate(cfg).func, "monitors", None)


def task(cfg: DictConfig, data: TextData) -> Task:
    """The task of `conf/task/`, for the classes and the training labels of a data set."""
    return instantiate(cfg)(classes=data.classes, train=data.train.labels)


def source_matrix(cfg: DictConfig) -> EmbeddingMatrix:
    """The pretrained matrix of `conf/source/`."""
    return instantiate(cfg)


def target_tokenizer(
    cfg: DictConfig, source: EmbeddingMatrix | None, texts: Sequence[str], language: str | None
) -> Tokenizer:
    """The tokenizer of `conf/tokenizer/`, made for these texts where it is one that is made."""
    return instantiate(cfg)(source=source and source.tokenizer, texts=texts, language=language)


def transplant(cfg: DictConfig) -> Callable[..., Transplanted]:
    """The method of `conf/transplant/`: `(source, target, seed, texts=()) -> Transplanted`.

    The further matrices that it names in `spaces` are read here.
    """
    return instantiate(cfg)


def cleaning(cfg: DictConfig) -> Cleaning:
    """What `conf/cleaning/` does to a data set."""
    return instantiate(cfg)


def subset(cfg: DictConfig) -> Subset:
    """The part of the training texts that `conf/subset/` leaves."""
    return instantiate(cfg)


def balance(cfg: DictConfig) -> Balance:
    """How `conf/balance/` evens out classes."""
    return instantiate(cfg)


def several(cfg: DictConfig) -> dict[str, Any]:
    """The options that were chosen of a group such as `conf/augment/`, by name and in order."""
    return {str(name): instantiate(each) for name, each in cfg.items()}


def objective(cfg: DictConfig) -> Any:
    """What is learned, of `conf/objective/`."""
    return instantiate(cfg)


def backbone(cfg: DictConfig) -> Any:
    """The layers of `conf/backbone/`."""
    return instantiate(cfg, _convert_="all")


def teaching(cfg: DictConfig) -> Teaching | None:
    """The teacher of `conf/teacher/`, and what is learned from it."""
    return instantiate(cfg)


def averaging(cfg: DictConfig) -> Any:
    """The callback of `conf/averaging/`, or None."""
    return instantiate(cfg)


def finetuning(cfg: DictConfig) -> Strategy:
    """The strategy of `conf/finetune/`."""
    return instantiate(cfg)


def optimizer(cfg: DictConfig) -> Callable[[list[dict[str, Any]]], torch.optim.Optimizer]:
    """The optimizer of `conf/optimizer/`, still without parameters; `ValueError` if it refuses its settings."""
    make = instantiate(cfg)
    try:
        make([torch.zeros(1, requires_grad=True)])
    except ValueError as error:
        raise ValueError(f"optimizer {cfg._target_}: {error}") from error
    return make


def schedule(cfg: DictConfig) -> Any:
    """The learning-rate schedule of `conf/scheduler/`: `(optimizer, total_steps) -> LRScheduler`."""
    return instantiate(cfg)


def recipe(cfg: DictConfig) -> dict[str, Any]:
    """How the weights of any run move: arguments of a `TrainingModule`."""
    micro_batch = cfg.trainer.micro_batch
    return {
        "optimizer": optimizer(cfg.optimizer),
        "schedule": schedule(cfg.scheduler),
        "finetune": finetuning(cfg.finetune),
        "weight_decay": cfg.optimizer.get("weight_decay", 0.0),
        "decay_embeddings": cfg.trainer.decay_embeddings,
        "micro_batch": None if micro_batch == "auto" else micro_batch,  # then it is found at the start
    }


def loggers(cfg: DictConfig, run: RunFolder, config: DictConfig) -> Any:
    """The loggers of `conf/logger/`, writing into the run folder."""
    return instantiate(cfg)(folder=run.path, config=OmegaConf.to_container(config))


def new_classifier(
    cfg: DictConfig, transplanted: Transplanted, heads: Mapping[str, Head]
) -> tuple[Classifier, dict[str, Any]]:
    """A classifier over transplanted rows, and what `trained_classifier` needs to build its network again."""
    matrix = transplanted.matrix
    assert matrix.tokenizer is not None
    spec: dict[str, Any] = {
        "rows": list(matrix.rows.shape),
        "pad_id": matrix.tokenizer.pad_id,
        "project_to": transplanted.project_to,
        "heads": {name: asdict(head) for name, head in heads.items()},
        "backbone": None,
    }
    backbone = None
    if _is_pretrained(cfg):
        if matrix.checkpoint is None:
            raise ValueError(
                f"model=pretrained needs the layers of a checkpoint, but the source {matrix.origin['name']!r} is a "
                "table of vectors: use source=tiny_zh, or source=hf source.name=..., or another model"
            )
        spec["backbone"], backbone = load_backbone(whole_checkpoint(matrix))
    model = _assemble(cfg, spec, matrix.rows, transplanted.projection)
    if backbone is not None:
        assert isinstance(model.encoder, Pretrained)
        model.encoder.load_backbone(backbone)
    return model, spec


def trained_classifier(run: RunFolder, cfg: DictConfig) -> tuple[Classifier, Tokenizer]:
    """The best checkpoint of a run and its tokenizer; nothing outside the run folder is read."""
    spec = read_json(run.model)
    if "heads" not in spec:
        raise ValueError(
            f"{run.path} is a pretraining, which knows no classes: fine-tune it by lexigraft train source=hf "
            f"source.name={run.pretrained} tokenizer=source model=pretrained"
        )
    model = _assemble(cfg.model, spec, torch.zeros(spec["rows"]))
    strategy = finetuning(cfg.finetune)
    strategy.prepare(model)
    model.load_state_dict(_weights(run.best))
    strategy.finish(model)
    return model.eval(), Tokenizer.load(run.tokenizer)


def trained_task(run: RunFolder, cfg: DictConfig, name: str = "main") -> Task:
    """One of the tasks that a run was trained for; `ValueError` if it has none of that name."""
    further = cfg.auxiliary
    if name != "main" and name not in further:
        known = ", ".join(["main", *further])
        raise ValueError(f"the run {run.path} has no task {name!r}: its tasks are {known}")
    task = cfg.task if name == "main" else further[name].task or cfg.task
    classes, train = load_labels(run.splits_of(name))
    return instantiate(task)(classes=classes, train=train)


def _weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    except (RuntimeError, OSError, UnpicklingError, EOFError, KeyError) as error:
        raise ValueError(f"{checkpoint} is damaged or no checkpoint of lexigraft: copy the run folder again") from error
    # Beside the model, a checkpoint holds what regularisers learned, which nobody needs any more.
    return {name.removeprefix("model."): weight for name, weight in state.items() if name.startswith("model.")}


def _assemble(
    cfg: DictConfig, spec: dict[str, Any], rows: torch.Tensor, projection: torch.Tensor | None = None
) -> Classifier:
    embedding = TransplantedEmbedding(
        rows,
        spec["pad_id"],
        project_to=spec["project_to"],
        projection=projection,
        dropout=cfg.embedding_dropout,
        variational_dropout=cfg.variational_dropout,
        word_dropout=cfg.word_dropout,
    )
    encoder = instantiate(cfg.encoder)
    encoder = encoder(embedding.dim, config=spec["backbone"]) if _is_pretrained(cfg) else encoder(embedding.dim)
    pooling = instantiate(cfg.pooling)(encoder.width)
    heads = {name: Head(**head) for name, head in spec["heads"].items()}
    return Classifier(embedding, encoder, pooling, heads, cfg.head_dropout)


def _is_pretrained(cfg: DictConfig) -> bool:
    return cfg.encoder._target_ == f"{Pretrained.__module__}.{Pretrained.__qualname__}"
