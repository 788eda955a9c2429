import pytest

from lexigraft.training.finetune.phases import EmbeddingFirst
from lexigraft.training.finetune.rates import rescale
from tests.models.test_classifier import classifier
from tests.training.finetune.steps import LR, moved, named, optimizer_of, rates


@pytest.mark.parametrize("encoder", ["textcnn", "transformer", "bert", "gpt2"])
def test_the_encoder_moves_later(encoder):
    model, strategy = classifier(encoder, "attention", project_to=16), EmbeddingFirst(epochs=2)
    optimizer = optimizer_of(model, strategy)
    first = named(model, "embedding.", "pooling.", "heads.")
    assert [moved(model, strategy, epoch, optimizer) for epoch in range(4)] == [first, first, *[named(model, "")] * 2]


def test_each_phase_and_part_has_its_own_rate():
    strategy = EmbeddingFirst(epochs=2, first_scale=10, embedding_scale=2, body_scale=0.5, head_scale=3)
    model = classifier("transformer", "attention", project_to=16)
    optimizer = optimizer_of(model, strategy)
    for epoch in range(4):
        rescale(optimizer, [], strategy, model, epoch)
        after = {"embedding": 2, "encoder": 0.5, "pooling": 3, "heads": 3}
        expected = dict.fromkeys(after, 10) if epoch < 2 else after
        assert {name: pytest.approx(LR * expected[name.partition(".")[0]]) for name in named(model, "")} == rates(
            optimizer
        )


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="finetune.epochs=0: give at least 1 epoch, or use finetune=full"):
        EmbeddingFirst(epochs=0)
    with pytest.raises(ValueError, match="finetune.body_scale=0: a factor of optimizer.lr above 0 is expected"):
        EmbeddingFirst(body_scale=0)
