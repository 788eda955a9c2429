import pytest
import torch

from lexigraft.models.active import activate
from lexigraft.training.finetune.partial import Partial
from tests.models.test_classifier import classifier
from tests.training.finetune.steps import BERT, moved, named, optimizer_of

NEW = ("pooling.", "heads.", "embedding.projection.")
LAST = {
    "transformer": ("encoder.layers.layers.1.", "encoder.layers.norm."),
    "bert": (f"{BERT}.2.",),
    "gpt2": ("encoder.backbone.h.2.", "encoder.backbone.ln_f."),
    "t5": ("encoder.backbone.block.2.", "encoder.backbone.final_layer_norm."),
    "llama": ("encoder.backbone.layers.2.", "encoder.backbone.norm."),
}
FIRST = {
    "transformer": ("encoder.layers.layers.0.", "encoder.positions."),
    "bert": (f"{BERT}.0.", "encoder.backbone.embeddings."),
    "gpt2": ("encoder.backbone.h.0.", "encoder.backbone.wpe."),
    "t5": ("encoder.backbone.block.0.",),
    "llama": ("encoder.backbone.layers.0.",),
}


def of(encoder, **settings):
    """What moves, by name, and the model; the same in two epochs."""
    model, strategy = classifier(encoder, "attention", project_to=16), Partial(**settings)
    strategy.prepare(model)
    optimizer = optimizer_of(model, strategy)
    found = moved(model, strategy, 0, optimizer)
    assert moved(model, strategy, 5, optimizer) == found
    return found, model


@pytest.mark.parametrize("encoder", LAST)
def test_layers_counted_from_either_end(encoder):
    found, model = of(encoder, last=1)
    assert found == named(model, *LAST[encoder], *NEW)
    found, model = of(encoder, first=1)
    assert found == named(model, *FIRST[encoder], *NEW)
    found, model = of(encoder, first=1, last=1)
    assert found == named(model, *FIRST[encoder], *LAST[encoder], *NEW)


def test_layers_and_patterns_together():
    found, model = of("bert", last=1, train=["embedding.*"], freeze=[f"{BERT}.*.bias", "pooling.*"])
    layer = {name for name in named(model, f"{BERT}.2.") if not name.endswith(".bias")}
    assert found == layer | named(model, "embedding.", "heads.")


@pytest.mark.parametrize("encoder", ["textcnn", "bert"])
def test_patterns_alone_are_all_that_moves(encoder):
    found, model = of(encoder, train=["heads.*", "*.bias"])
    assert found == named(model, "heads.") | {name for name in named(model, "") if name.endswith(".bias")}
    found, model = of(encoder, freeze=["encoder.*"])
    assert found == named(model, "embedding.", "pooling.", "heads.")


def test_active_rows_are_one_parameter_to_patterns():
    model = classifier("bert", "mean")
    activate(model.embedding, torch.tensor([3, 4]))
    rows = named(model, "embedding.lookup.")
    assert len(rows) == 2
    for pattern in ("embedding.lookup.weight", "embedding.*"):
        Partial(train=[pattern]).apply(model, 0)
        assert {name for name, p in model.named_parameters() if p.requires_grad} == rows
        Partial(freeze=[pattern]).apply(model, 0)
        assert {name for name, p in model.named_parameters() if not p.requires_grad} == rows


@pytest.mark.parametrize(
    ("encoder", "settings", "says"),
    [
        ("bert", {"last": 4}, "finetune.last=4 was given, but the encoder has 3 layers: give at most so many"),
        ("gpt2", {"first": 9}, "finetune.first=9 was given, but the encoder has 3 layers"),
        ("textcnn", {"last": 1}, "finetune.last=1 count layers, but TextCNN has none on each other: set both to 0 and"),
        ("bert", {"train": ["head.*"]}, r"finetune.train holds 'head.\*', which matches no parameter; near are heads"),
        ("bert", {"freeze": ["encoder.layer.0.*"]}, "finetune.freeze holds 'encoder.layer.0.*', which matches no"),
        ("textcnn", {"train": ["heads.*"], "freeze": ["*"]}, "finetune=partial leaves nothing to train"),
    ],
)
def test_what_the_model_does_not_have_is_refused_at_once(encoder, settings, says):
    with pytest.raises(ValueError, match=says):
        Partial(**settings).prepare(classifier(encoder, "mean"))


def test_layers_below_none_are_refused():
    with pytest.raises(ValueError, match="finetune.first=-1: a number of layers from 0 up is expected"):
        Partial(first=-1)
