import gc

import pytest
import torch

from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.pooling import Mean
from lexigraft.models.stages import _KNOWN, Stages
from tests.models.test_classifier import classifier, pretrained

BERT = "encoder.backbone.embeddings"
BART = "encoder.backbone"
ALBERT = ("encoder.backbone.embeddings", "encoder.backbone.encoder.embedding_hidden_mapping_in")
BELOW = {
    "transformer": ("encoder.positions",),
    "narrow transformer": ("encoder.positions", "encoder.resize"),
    "bert": (BERT,),
    "gpt2": ("encoder.backbone.wpe",),
    "t5": (),
    "llama": (),
    "bart": (f"{BART}.embed_positions", f"{BART}.layernorm_embedding"),
    "albert": ALBERT,
}
LAYERS = {
    "transformer": ("encoder.layers.layers", 2),
    "narrow transformer": ("encoder.layers.layers", 1),
    "bert": ("encoder.backbone.encoder.layer", 3),
    "gpt2": ("encoder.backbone.h", 3),
    "t5": ("encoder.backbone.block", 3),
    "llama": ("encoder.backbone.layers", 3),
    "bart": (f"{BART}.layers", 3),
    "albert": ("encoder.backbone.encoder.albert_layer_groups", 1),
}


def model_of(encoder: str) -> Classifier:
    if encoder not in ("bart", "albert"):
        return classifier(encoder, "attention", project_to=16)
    dim = 8 if encoder == "albert" else 16
    body = pretrained(encoder)(dim=dim)
    return Classifier(TransplantedEmbedding(torch.randn(40, dim), 0), body, Mean(body.width), {"main": Head(3)})


@pytest.mark.parametrize("encoder", LAYERS)
def test_layers_on_each_other(encoder):
    model = model_of(encoder)
    stages = Stages.of(model)
    stack, count = LAYERS[encoder]
    assert (stages.layers, stages.stacked, stages.top) == (count, True, count + 1)
    for name, _ in model.named_parameters():
        if name.startswith(("embedding.", *BELOW[encoder])):
            expected = 0
        elif name.startswith(("pooling.", "heads.")):
            expected = count + 1
        elif name.startswith(f"{stack}."):
            expected = int(name.removeprefix(f"{stack}.").split(".")[0]) + 1
        else:
            assert "norm" in name or "ln_f" in name
            expected = count
        assert stages.stage(name) == expected, name


@pytest.mark.parametrize(("encoder", "layers"), [("textcnn", 1), ("gru", 1), ("identity", 0)])
def test_other_encoders_are_one_stage_or_none(encoder, layers):
    model = model_of(encoder)
    stages = Stages.of(model)
    assert (stages.layers, stages.stacked) == (layers, False)
    stage = {name.partition(".")[0]: stages.stage(name) for name, _ in model.named_parameters()}
    assert stage == {"embedding": 0, "pooling": layers + 1, "heads": layers + 1} | ({"encoder": 1} if layers else {})


def test_a_model_is_not_kept_alive():
    model = model_of("textcnn")
    Stages.of(model)
    known = len(_KNOWN)
    del model
    gc.collect()
    assert len(_KNOWN) < known
