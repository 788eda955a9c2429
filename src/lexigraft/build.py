"""Config to objects. The only file that calls `hydra.utils.instantiate`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from lexigraft.data.text_data import TextData
from lexigraft.embeddings.checkpoint import whole_checkpoint
from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.models.classifier import Classifier
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.pretrained import Pretrained, load_backbone
from lexigraft.runs.folder import RunFolder, read_json
from lexigraft.transplant.engine import Transplanted
from lexigraft.vocab.tokenizer import Tokenizer


def text_data(cfg: DictConfig) -> TextData:
    """The data set of `conf/data/`."""
    return instantiate(cfg)


def source_matrix(cfg: DictConfig) -> EmbeddingMatrix:
    """The pretrained matrix of `conf/source/`."""
    return instantiate(cfg)


def target_tokenizer(cfg: DictConfig, source: EmbeddingMatrix, texts: Sequence[str], language: str | None) -> Tokenizer:
    """The tokenizer of `conf/tokenizer/`, made for these texts where it is one that is made."""
    return instantiate(cfg)(source=source.tokenizer, texts=texts, language=language)


def transplant(cfg: DictConfig) -> Callable[..., Transplanted]:
    """The method of `conf/transplant/`: `(source, target, seed, texts=()) -> Transplanted`.

    The further matrices that it names in `spaces` are read here.
    """
    return instantiate(cfg)


def finetuning(cfg: DictConfig) -> Any:
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


def loggers(cfg: DictConfig, run: RunFolder, config: DictConfig) -> Any:
    """The loggers of `conf/logger/`, writing into the run folder."""
    return instantiate(cfg)(folder=run.path, config=OmegaConf.to_container(config))


def new_classifier(
    cfg: DictConfig, transplanted: Transplanted, classes: Sequence[str]
) -> tuple[Classifier, dict[str, Any]]:
    """A classifier over transplanted rows, and what `trained_classifier` needs to build its network again."""
    matrix = transplanted.matrix
    assert matrix.tokenizer is not None
    spec: dict[str, Any] = {
        "rows": list(matrix.rows.shape),
        "pad_id": matrix.tokenizer.pad_id,
        "project_to": transplanted.project_to,
        "classes": list(classes),
        "backbone": None,
    }
    backbone = None
    if _is_pretrained(cfg):
        if matrix.checkpoint is None:
            raise ValueError(
                f"model=pretrained needs the layers of a checkpoint, but the source {matrix.origin['name']!r} is a "
                "table of vectors: use source=hf source.name=..., or another model"
            )
        spec["backbone"], backbone = load_backbone(whole_checkpoint(matrix))
    model = _assemble(cfg, spec, matrix.rows, transplanted.projection)
    if backbone is not None:
        assert isinstance(model.encoder, Pretrained)
        model.encoder.load_backbone(backbone)
    return model, spec


def trained_classifier(run: RunFolder, cfg: DictConfig) -> tuple[Classifier, Tokenizer, tuple[str, ...]]:
    """The best checkpoint of a run, its tokenizer and its classes; nothing outside the run folder is read."""
    spec = read_json(run.model)
    model = _assemble(cfg, spec, torch.zeros(spec["rows"]))
    model.load_state_dict(_weights(run.best))
    return model.eval(), Tokenizer.load(run.tokenizer), tuple(spec["classes"])


def _weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    except (RuntimeError, OSError, UnpicklingError, EOFError, KeyError) as error:
        raise ValueError(f"{checkpoint} is damaged or no checkpoint of lexigraft: copy the run folder again") from error
    return {name.removeprefix("model."): weight for name, weight in state.items()}


def _assemble(
    cfg: DictConfig, spec: dict[str, Any], rows: torch.Tensor, projection: torch.Tensor | None = None
) -> Classifier:
    embedding = TransplantedEmbedding(
        rows, spec["pad_id"], project_to=spec["project_to"], projection=projection, dropout=cfg.embedding_dropout
    )
    encoder = instantiate(cfg.encoder)
    encoder = encoder(embedding.dim, config=spec["backbone"]) if _is_pretrained(cfg) else encoder(embedding.dim)
    pooling = instantiate(cfg.pooling)(encoder.width)
    return Classifier(embedding, encoder, pooling, len(spec["classes"]), cfg.head_dropout)


def _is_pretrained(cfg: DictConfig) -> bool:
    return cfg.encoder._target_ == f"{Pretrained.__module__}.{Pretrained.__qualname__}"
