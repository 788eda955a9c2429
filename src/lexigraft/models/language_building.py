"""Language models of transplanted rows, with layers of their own or the source's."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from lexigraft.embeddings.body import quiet_transformers
from lexigraft.embeddings.checkpoint import whole_checkpoint
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.language import LanguageModel
from lexigraft.models.language_backbone import NewBackbone, SourceBackbone
from lexigraft.models.language_head import LanguageHead, model_class
from lexigraft.models.language_replaced import Generator, ReplacedModel
from lexigraft.models.packed_rows import require_packable
from lexigraft.models.pretrained import Pretrained, require_weights, without_words
from lexigraft.surgery.positions import fitting_tokenizer
from lexigraft.transplant.engine import Transplanted

Kind = Literal["masked", "causal", "replaced"]


def new_language_model(
    transplanted: Transplanted,
    backbone: NewBackbone | SourceBackbone,
    kind: Kind,
    *,
    generator: float = 0.25,
    packed: bool = False,
) -> tuple[LanguageModel, dict[str, Any]]:
    """A model of an objective's kind over transplanted rows, and what `language_model` needs to build it again.

    With the source's layers come the weights of its head, as far as it has one; output rows and bias are the
    transplant's where it has them. `generator` is the share of the backbone that ELECTRA's generator has. What is new
    is drawn from torch's global stream. `ValueError` for a backbone that cannot do what the objective, or packing
    (`packed`), asks for.
    """
    matrix = transplanted.matrix
    assert matrix.tokenizer is not None
    pad_id = matrix.tokenizer.pad_id
    weights: dict[str, Tensor] = {}
    parts: dict[str, Tensor] | None = None
    if isinstance(backbone, SourceBackbone):
        if matrix.checkpoint is None:
            raise ValueError(
                f"backbone=source takes the layers of a checkpoint, and the source {matrix.origin['name']!r} is a "
                "table of vectors: use source=tiny_zh, source=hf source.name=..., or a new backbone (backbone=bert)"
            )
        config, weights, parts = load_language_model(whole_checkpoint(matrix), kind)
        tied, layers = matrix.tied, backbone.layers
    else:
        config = backbone.config(transplanted.project_to or matrix.dim, pad_id)
        tied, layers = bool(config.get("tie_word_embeddings", True)), None
    _, moved = fitting_tokenizer(config, matrix.tokenizer)
    if moved is not None:
        raise ValueError(
            f"the positions of {config['model_type']} count from another padding token's id, so that its checkpoint "
            f"could not be written ({moved}): use a tokenizer with that padding token, or another backbone"
        )
    spec: dict[str, Any] = {
        "kind": kind,
        "rows": list(matrix.rows.shape),
        "pad_id": pad_id,
        "project_to": transplanted.project_to,
        "config": config,
        "layers": layers,
        "tied": tied,
        "generator": generator,
        "from_source": bool(weights),
    }
    model = _assemble(spec, matrix.rows, transplanted.projection)
    if packed:
        require_packable(model.encoder)
    if weights:
        model.encoder.load_backbone(weights)
    if parts is not None:
        model.heads["main"].parts.load_state_dict(parts)  # type: ignore[union-attr]  # a module's
    head = language_head(model)
    with torch.no_grad():
        if head.rows is not None and matrix.output_rows is not None and head.rows.shape == matrix.output_rows.shape:
            head.rows.copy_(matrix.output_rows)
        if head.bias is not None and matrix.output_bias is not None:
            head.bias.copy_(matrix.output_bias)
    return model, spec


def language_model(spec: Mapping[str, Any]) -> LanguageModel:
    """The network that a spec tells of, whose weights are yet to be loaded."""
    return _assemble(spec, torch.zeros(spec["rows"]))


def language_head(model: LanguageModel) -> LanguageHead:
    """The head that says words: of ELECTRA the generator's."""
    head: Any = model.heads["generator"].head if isinstance(model, ReplacedModel) else model.heads["main"]
    assert isinstance(head, LanguageHead)
    return head


def load_language_model(folder: Path, kind: Kind) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Tensor] | None]:
    """Config (plain values) of a checkpoint folder, and the weights (float32) of its backbone and of its head.

    The head's are those below the decoder (of ELECTRA, the discriminator's head), None where the checkpoint lacks any
    of them. `ValueError` for a type that has no model of that kind, and if the backbone lacks weights.
    """
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder} has no config.json: the folder of a transformers checkpoint is expected")
    kept = torch.random.get_rng_state()  # a head that the checkpoint lacks is drawn, though it is not used
    with quiet_transformers():
        try:
            model, loading = _class(kind).from_pretrained(
                folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
            )
        except ValueError as error:
            if "Unrecognized configuration" not in str(error):
                raise
            raise ValueError(
                f"transformers has no model for objective={kind} of the type that {folder} holds: use another "
                "objective, or a new backbone"
            ) from error
    torch.random.set_rng_state(kept)
    config = json.loads(model.config.to_json_string(use_diff=False))
    config.pop("_name_or_path", None)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    missing = set(loading["missing_keys"])
    decoder = model.get_output_embeddings() if kind != "replaced" else None
    words = {
        id(p) for layer in (decoder, model.get_input_embeddings()) if layer is not None for p in layer.parameters()
    }
    body = model.base_model
    parts = {
        name: weight.detach()
        for own, child in model.named_children()
        if child is not body
        for name, weight in child.named_parameters(prefix=own)
        if id(weight) not in words
    }
    lacking = missing & set(parts)
    backbone, _ = without_words(body)
    require_weights(folder, config, {names[id(p)] for p in backbone.parameters()} & missing)
    if kind == "replaced":
        parts = {name.removeprefix("discriminator_predictions."): weight for name, weight in parts.items()}
    return config, dict(backbone.state_dict()), None if lacking else parts


def _class(kind: Kind) -> Any:
    if kind != "replaced":
        return model_class(kind == "causal")
    from transformers import AutoModelForPreTraining

    return AutoModelForPreTraining


def _assemble(spec: Mapping[str, Any], rows: Tensor, projection: Tensor | None = None) -> LanguageModel:
    embedding = TransplantedEmbedding(rows, spec["pad_id"], project_to=spec["project_to"], projection=projection)
    encoder = Pretrained(embedding.dim, config=spec["config"], layers=spec["layers"])
    kind = spec["kind"]
    if encoder.causal != (kind == "causal"):
        reads = "only back" if encoder.causal else "both ways"
        raise ValueError(
            f"objective={kind} does not fit the backbone {spec['config']['model_type']}, whose tokens see {reads}: use "
            f"objective={'causal' if encoder.causal else 'masked'}, or another backbone"
        )
    size = spec["rows"][0]
    if kind == "replaced":
        generator = Generator(embedding.dim, config=spec["config"], share=spec["generator"], size=size)
        return ReplacedModel(embedding, encoder, generator, body_from_source=spec["from_source"])
    head = LanguageHead(spec["config"], causal=kind == "causal", size=size, tied=spec["tied"])
    assert isinstance(head, LanguageHead)
    return LanguageModel(embedding, encoder, head, body_from_source=spec["from_source"])
