import pytest

from lexigraft.training.finetune.layerwise import Gradual, LayerwiseDecay
from tests.models.test_classifier import classifier
from tests.training.finetune.steps import BERT, LR, moved, named, optimizer_of, rates

HEAD = ("pooling.", "heads.")
# From the top, what moves with each thaw.
THAWS = {
    "identity": [HEAD, ("embedding.",)],
    "gru": [HEAD, ("encoder.",), ("embedding.",)],
    "transformer": [
        HEAD,
        ("encoder.layers.layers.1.", "encoder.layers.norm."),
        ("encoder.layers.layers.0.",),
        ("embedding.", "encoder.positions."),
    ],
    "bert": [HEAD, (f"{BERT}.2.",), (f"{BERT}.1.",), (f"{BERT}.0.",), ("embedding.", "encoder.backbone.embeddings.")],
    "gpt2": [
        HEAD,
        ("encoder.backbone.h.2.", "encoder.backbone.ln_f."),
        ("encoder.backbone.h.1.",),
        ("encoder.backbone.h.0.",),
        ("embedding.", "encoder.backbone.wpe."),
    ],
}


@pytest.mark.parametrize("encoder", THAWS)
def test_stages_thaw_from_the_top(encoder):
    model, strategy, thaws = classifier(encoder, "attention", project_to=16), Gradual(), THAWS[encoder]
    optimizer = optimizer_of(model, strategy)
    for epoch in range(len(thaws) + 1):
        thawed = named(model, *sum(thaws[: epoch + 1], ()))
        assert moved(model, strategy, epoch, optimizer) == thawed, epoch
    assert thawed == named(model, "")


def test_how_often_and_how_many():
    model, strategy, thaws = classifier("bert", "attention"), Gradual(every=2, at_once=3), THAWS["bert"]
    optimizer = optimizer_of(model, strategy)
    seen = [moved(model, strategy, epoch, optimizer) for epoch in range(5)]
    layers = named(model, *sum(thaws[:4], ()))
    assert seen == [named(model, *HEAD), named(model, *HEAD), layers, layers, named(model, "")]


@pytest.mark.parametrize("encoder", THAWS)
def test_each_stage_learns_slower_than_the_one_above(encoder):
    for strategy, factor in ((Gradual(discriminative=2.6), 1 / 2.6), (LayerwiseDecay(decay=0.8), 0.8)):
        model = classifier(encoder, "attention", project_to=16)
        found = rates(optimizer_of(model, strategy))
        expected = {n: LR * factor**i for i, starts in enumerate(THAWS[encoder]) for n in named(model, *starts)}
        assert found == pytest.approx(expected)


@pytest.mark.parametrize("encoder", THAWS)
def test_layerwise_decay_moves_everything_from_the_start(encoder):
    model, strategy = classifier(encoder, "attention"), LayerwiseDecay()
    optimizer = optimizer_of(model, strategy)
    assert [moved(model, strategy, epoch, optimizer) for epoch in (0, 3)] == [named(model, "")] * 2


def test_transplanted_rows_may_learn_at_a_rate_of_their_own():
    model = classifier("bert", "mean", project_to=16)
    plain = rates(optimizer_of(model, LayerwiseDecay(decay=0.5)))
    found = rates(optimizer_of(model, LayerwiseDecay(decay=0.5, embedding_scale=2.0)))
    assert found.pop("embedding.lookup.weight") == 2 * LR
    assert plain.pop("embedding.lookup.weight") == LR * 0.5**4
    assert found == plain


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="finetune.every=0: give at least 1 epoch"):
        Gradual(every=0)
    with pytest.raises(ValueError, match="finetune.at_once=0: at least 1 layer is expected"):
        Gradual(at_once=0)
    with pytest.raises(ValueError, match="finetune.discriminative=0.5: a factor of at least 1 is expected"):
        Gradual(discriminative=0.5)
    for decay in (0, 1.1):
        with pytest.raises(ValueError, match=f"finetune.decay={decay}: a factor above 0 and at most 1 is expected"):
            LayerwiseDecay(decay=decay)
    with pytest.raises(ValueError, match="finetune.embedding_scale=-1: a factor of optimizer.lr above 0"):
        LayerwiseDecay(embedding_scale=-1)
