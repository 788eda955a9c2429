import pytest
import torch
from torch.nn import functional as F

from lexigraft.models.language import LanguageModel, word_vectors
from lexigraft.models.language_head import LanguageHead
from lexigraft.models.pretrained import Pretrained
from lexigraft.training.finetune.moving import let_move
from lexigraft.training.finetune.phases import EmbeddingFirst
from lexigraft.training.finetune.steady import Frozen
from tests.models.languages import CAUSAL, FAMILIES, SIZE, config_of, embedded, ours, theirs

MASK = torch.arange(9) < torch.tensor([9, 4])[:, None]


def ids_of(pad_id):
    drawn = torch.randint(2, SIZE, MASK.shape, generator=torch.Generator().manual_seed(2))
    return drawn.masked_fill(~MASK, pad_id)


def with_weights_of(model, family):
    """Ours, with all weights of transformers' model."""
    config = config_of(family)
    words = model.get_input_embeddings().weight
    tied = model.config.tie_word_embeddings
    encoder = Pretrained(words.shape[1], config=config)
    body = model.base_model.state_dict()
    encoder.load_backbone({name: body[name] for name in encoder.backbone.state_dict()})
    head = LanguageHead(config, causal=family in CAUSAL, size=SIZE, tied=tied)
    own = dict(model.named_parameters())
    head.parts.load_state_dict({name: own[name].detach() for name in head.parts.state_dict()})
    decoder = model.get_output_embeddings()
    with torch.no_grad():
        if head.bias is not None:
            head.bias.copy_(decoder.bias)
        if head.rows is not None:
            head.rows.copy_(decoder.weight)
    return LanguageModel(embedded(words, config["pad_token_id"] or 0), encoder, head, body_from_source=True).eval()


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_transformers(family):
    model = theirs(family)
    ids = ids_of(model.config.pad_token_id or 0)
    places = MASK.flatten().nonzero().flatten()
    found = with_weights_of(model, family)(ids, MASK, places)
    expected = model(input_ids=ids, attention_mask=MASK.long()).logits.flatten(0, 1)[places]
    assert found.shape == (13, SIZE)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert (found - expected.roll(1, 0)).abs().max() > 0.01 * expected.abs().max()


def test_logits_of_some_places_are_among_those_of_all():
    model = ours("bert")
    ids, all_places = ids_of(0), torch.arange(18)
    some = torch.tensor([0, 7, 12])
    assert torch.allclose(model(ids, MASK, some), model(ids, MASK, all_places)[some], atol=1e-6)


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_the_padding_row_stays_zero_in_training(family):
    model = ours(family).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    ids, places = ids_of(0), torch.tensor([0, 1, 2])
    for _ in range(2):
        optimizer.zero_grad()
        F.cross_entropy(model(ids, MASK, places), torch.tensor([3, 4, 5])).backward()
        optimizer.step()
    rows = model.embedding.lookup.weight.detach()
    assert not rows[0].any()
    unseen = sorted(set(range(1, SIZE)) - set(ids.flatten().tolist()))[0]
    gradient = model.embedding.lookup.weight.grad
    # A word that no text holds learns as an answer, if the answers are the same rows.
    assert bool(gradient[unseen].any()) == (family == "bert")


def test_a_projection_is_between_rows_and_answers_too():
    model = ours("bert")
    wide = model.embedding
    narrow = type(wide)(torch.randn(SIZE, 4), 0, project_to=16)
    model.embedding = narrow
    expected = narrow.lookup.weight @ narrow.projection.weight.T
    assert torch.equal(word_vectors(narrow), expected)
    F.cross_entropy(model(ids_of(0), MASK, torch.tensor([1])), torch.tensor([3])).backward()
    assert narrow.projection.weight.grad.any()
    assert not narrow.lookup.weight.grad[0].any()


def test_strategies_see_the_parts_of_a_classifier():
    model = ours("bert")
    EmbeddingFirst(epochs=1).apply(model, 0)
    held = {name.split(".")[0] for name, p in model.named_parameters() if not p.requires_grad}
    moving = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert (held, moving) == ({"encoder"}, {"embedding", "heads"})
    # Layers that were drawn anew are not among what came from a source.
    Frozen().apply(model, 0)
    assert {name for name, p in model.named_parameters() if not p.requires_grad} == {"embedding.lookup.weight"}
    model._body_from_source = True
    Frozen().apply(model, 0)
    assert {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad} == {"heads"}


def test_no_weight_is_dead():
    for family in ("bert", "electra", "gpt2", "llama"):
        model = ours(family)
        let_move(model, lambda name: True)
        model(ids_of(0), MASK, torch.tensor([0, 5])).square().sum().backward()
        assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_rows_of_a_width_that_the_head_does_not_speak_are_refused():
    config = config_of("electra")
    head = LanguageHead({**config, "embedding_size": 12}, causal=False, size=SIZE)
    with pytest.raises(ValueError, match="vectors of width 8 do not fit the head of electra, which speaks in 12"):
        LanguageModel(embedded(torch.randn(SIZE, 8)), Pretrained(8, config=config), head, body_from_source=False)


@pytest.mark.parametrize(
    ("kind", "settings", "why"),
    [
        (
            "distilbert",
            {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 24},
            "distilbert is more than its layers",
        ),
        ("gemma2", {"head_dim": 8, "num_key_value_heads": 1}, "head of gemma2 is more than its layers"),
        ("t5", {"d_model": 16, "num_layers": 1, "num_heads": 2}, "t5 has an encoder and a decoder"),
        ("vit", {}, "transformers has no masked language model of the type vit"),
    ],
)
def test_heads_that_are_not_their_layers_one_after_the_other_are_refused(kind, settings, why):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    own = settings if kind in ("distilbert", "t5") else {**sizes, **settings}
    with pytest.raises(ValueError, match=why):
        LanguageHead({"model_type": kind, **own}, causal=kind == "gemma2", size=SIZE)
