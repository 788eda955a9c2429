import pytest
import torch
from torch.nn import functional as F

from lexigraft.models.language_replaced import replaced, smaller
from lexigraft.models.pretrained import Pretrained
from lexigraft.training.finetune.phases import EmbeddingFirst
from tests.models.languages import SIZE, config_of, ours
from tests.models.languages import replaced as tiny

IDS = torch.tensor([[2, 5, 6, 3], [2, 9, 3, 0]])
MASK = IDS > 0
PLACES = torch.tensor([1, 5])


def test_words_are_put_in_and_told_from_the_texts_own():
    labels = torch.full((2, 4), -100)
    labels[0, 1], labels[1, 1] = 7, 9
    ids, wrong = replaced(IDS, labels, PLACES, torch.tensor([8, 9]))
    assert ids.tolist() == [[2, 8, 6, 3], [2, 9, 3, 0]]
    # A word that was drawn as it stood is the text's.
    assert wrong.tolist() == [[False, True, False, False], [False] * 4]
    assert IDS[0, 1] == 5


def test_both_models_learn_the_same_rows_and_each_its_own_layers():
    model = tiny()
    model.guesses(IDS, MASK, PLACES).square().sum().backward()
    assert {n.split(".")[0] + "." + n.split(".")[1] for n, p in model.named_parameters() if p.grad is not None} == {
        "embedding.lookup", "heads.generator"
    }  # fmt: skip
    model.zero_grad()
    suspicion = model.suspicion(IDS, MASK)
    assert suspicion.shape == (2, 4)
    F.softplus(suspicion).sum().backward()
    moved = {n for n, p in model.named_parameters() if p.grad is not None}
    assert moved == {n for n, _ in model.named_parameters() if not n.startswith("heads.generator")}


def test_the_generator_is_narrower_and_as_deep():
    model = tiny()
    generator = model.heads["generator"]
    assert (generator.encoder.width, model.encoder.width) == (8, 16)
    assert len(generator.encoder.backbone.encoder.layer) == len(model.encoder.backbone.encoder.layer) == 2
    assert model.guesses(IDS, MASK, PLACES).shape == (2, SIZE)


def test_discriminator_at_some_places():
    model = tiny()
    features = model.features(model.embed(IDS, MASK), MASK)
    expected = model.suspicion(IDS, MASK).flatten()[PLACES]
    assert torch.allclose(model.outputs(features, PLACES), expected, atol=1e-6)


def test_a_smaller_config():
    config = {"num_attention_heads": 4, "hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 4}
    assert smaller(config, 0.25) == {**config, "num_attention_heads": 1, "hidden_size": 64, "intermediate_size": 256}
    assert smaller(config, 1.0) == config
    assert smaller(config, 0.4)["hidden_size"] % smaller(config, 0.4)["num_attention_heads"] == 0
    for share in (0, 1.5):
        with pytest.raises(ValueError, match=rf"objective\.generator={share}: a share above 0 and at most 1"):
            smaller(config, share)


def test_the_generator_moves_with_the_heads_where_a_body_is_held():
    model = tiny()
    EmbeddingFirst(epochs=1).apply(model, 0)
    held = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert held
    assert all(name.startswith("encoder.") for name in held)


def test_only_electra_has_such_a_head():
    with pytest.raises(ValueError, match=r"objective=replaced trains the type electra, .* is of the type bert: use"):
        ours("bert", "replaced")
    assert Pretrained(8, config=config_of("electra")).config.model_type == "electra"
